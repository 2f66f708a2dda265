"""Which tasks are asked for, and in what order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum
from functools import cached_property
from typing import Any

import re2 as _untyped

from batuta_api.projects.closed import Shown
from batuta_api.tasks.model import TaskState


class Archived(IntEnum):
    """Which tasks as to their archiving. The numbers are those of the contract."""

    EXCLUDE = 1
    ONLY = 2
    INCLUDE = 3


class Of(IntEnum):
    """Which value of a series. The numbers are those of the contract."""

    LAST = 1
    MIN = 2
    MAX = 3


class By(Enum):
    """What a list can be ordered by: the name of a task's column, or something that is worked out."""

    CREATE_TIME = "create_time"
    UPDATE_TIME = "update_time"
    START_TIME = "start_time"
    END_TIME = "end_time"
    DISPLAY_NAME = "display_name"
    PROJECT_NAME = "project_name"
    STATE = "state"
    TYPE = "type"
    OWNER = "owner"
    LAST_ITERATION = "last_iteration"
    QUEUE_NAME = "queue_name"
    HOST = "host"
    DURATION = "duration"
    PARAMETER = "parameter"
    METRIC = "metric"


@dataclass(frozen=True)
class Times:
    """A span of time: not before `start`, before `end`."""

    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True)
class Numbers:
    """A span of numbers, both ends in it."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ParameterTest:
    """What a hyper-parameter must be; it must be there in any case."""

    section: str
    name: str
    equals: str | None = None
    between: Numbers | None = None


@dataclass(frozen=True)
class MetricTest:
    """What a value of a series must be; it must have been reported in any case."""

    metric: str
    variant: str
    of: Of = Of.LAST
    between: Numbers | None = None


@dataclass(frozen=True)
class TaskFilter:
    """Which tasks; all parts must hold, and an empty part always does.

    `tags` must all be there, of `any_tags` one, of `no_tags` none. `times` is by name of the column.
    `shown` is not asked for: what a caller sees of closed projects.
    """

    project_name: str = ""
    subprojects: bool = False
    display_name: str = ""
    name_regex: str = ""
    states: frozenset[TaskState] = frozenset()
    types: frozenset[int] = frozenset()
    tags: frozenset[str] = frozenset()
    any_tags: frozenset[str] = frozenset()
    no_tags: frozenset[str] = frozenset()
    parent_task_id: str = ""
    owners: frozenset[str] = frozenset()
    queue_id: str = ""
    times: tuple[tuple[str, Times], ...] = ()
    parameters: tuple[ParameterTest, ...] = ()
    metrics: tuple[MetricTest, ...] = ()
    archived: Archived = Archived.EXCLUDE
    deleted: bool = False
    shown: Shown = ()

    @cached_property
    def named(self) -> Callable[[str], bool]:
        """Whether a name matches `name_regex`. RE2: in time that is linear in the name, whatever the expression.

        Raises `ValueError` for an expression that is none.
        """
        if not self.name_regex:
            return lambda name: True
        re2: Any = _untyped
        options = re2.Options()
        options.log_errors = False
        try:
            expression = re2.compile(self.name_regex, options)
        except re2.error as error:
            text: object = error.args[0] if error.args else error
            raise ValueError(text.decode(errors="replace") if isinstance(text, bytes) else str(text)) from None
        return lambda name: expression.search(name) is not None


@dataclass(frozen=True)
class Order:
    """How to order. Tasks without the value come last; equals are ordered newest first.

    `group` and `name`: section and name of a parameter, or metric and variant.
    """

    by: By = By.CREATE_TIME
    ascending: bool = False
    group: str = ""
    name: str = ""
    of: Of = Of.LAST


NEWEST_FIRST = Order()

Value = str | int | float | None


@dataclass(frozen=True)
class Place:
    """Where a page of tasks ended: the last one's time of creation and id, and the value that it was ordered by."""

    create_time: datetime
    task_id: str
    value: Value = None
