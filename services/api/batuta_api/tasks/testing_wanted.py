"""Filters and orders of tasks in memory, for tests."""

from __future__ import annotations

import math
from typing import Any

from batuta_api import pages
from batuta_api.metrics.testing import MemoryScalarStore
from batuta_api.projects.closed import is_shown
from batuta_api.tasks import sort_keys
from batuta_api.tasks.model import Definition, Parameter, Task
from batuta_api.tasks.store import Listed
from batuta_api.tasks.wanted import Archived, By, Numbers, Of, Order, Place, TaskFilter, Times, Value


def fits(task: Task, definition: Definition, scalars: MemoryScalarStore, wanted: TaskFilter) -> bool:
    """Whether a task is one of those that are wanted."""
    archived = task.archive_time is not None
    return (
        (task.delete_time is not None) == wanted.deleted
        and (wanted.deleted or wanted.archived in (Archived.INCLUDE, Archived.ONLY if archived else Archived.EXCLUDE))
        and _in_project(task, wanted)
        and is_shown(task.project_name, wanted.shown)
        and wanted.display_name in ("", task.display_name)
        and wanted.named(task.display_name)
        and wanted.parent_task_id in ("", task.parent_task_id)
        and wanted.queue_id in ("", task.status.queue_id)
        and (not wanted.states or task.status.state in wanted.states)
        and (not wanted.types or task.type in wanted.types)
        and (not wanted.owners or task.owner in wanted.owners)
        and _tagged(task, wanted)
        and all(_within(_moment(task, name), span) for name, span in wanted.times)
        and all(_parameter_fits(definition, test) for test in wanted.parameters)
        and all(_metric_fits(task, scalars, test) for test in wanted.metrics)
    )


def _in_project(task: Task, wanted: TaskFilter) -> bool:
    below = wanted.subprojects and task.project_name.startswith(f"{wanted.project_name}/")
    return below or wanted.project_name in ("", task.project_name)


def _tagged(task: Task, wanted: TaskFilter) -> bool:
    tags = set(task.tags)
    return wanted.tags <= tags and (not wanted.any_tags or bool(wanted.any_tags & tags)) and not wanted.no_tags & tags


def _moment(task: Task, name: str) -> Any:
    return getattr(task, name) if hasattr(task, name) else getattr(task.status, name)


def _within(moment: Any, span: Times) -> bool:
    if moment is None:
        return span == Times()
    return (span.start is None or moment >= span.start) and (span.end is None or moment < span.end)


def _parameter(definition: Definition, section: str, name: str) -> Parameter | None:
    return next((each for each in definition.parameters if (each.section, each.name) == (section, name)), None)


def _parameter_fits(definition: Definition, test: Any) -> bool:
    known = _parameter(definition, test.section, test.name)
    if known is None or test.equals not in (None, known.value):
        return False
    if test.between is None:
        return True
    try:
        return _between(float(known.value), test.between)
    except ValueError:
        return False


def _between(number: float, span: Numbers) -> bool:
    return (span.low is None or number >= span.low) and (span.high is None or number <= span.high)


def _summary(task: Task, scalars: MemoryScalarStore, metric: str, variant: str, of: Of) -> tuple[bool, float | None]:
    for each in scalars.summaries(task.id):
        if (each.metric, each.variant) == (metric, variant):
            number = {Of.LAST: each.last_value, Of.MIN: each.min_value, Of.MAX: each.max_value}[of]
            return True, None if math.isnan(number) else number
    return False, None


def _metric_fits(task: Task, scalars: MemoryScalarStore, test: Any) -> bool:
    known, number = _summary(task, scalars, test.metric, test.variant, test.of)
    if test.between in (None, Numbers()):
        return known
    return number is not None and _between(number, test.between)


def value_of(task: Task, definition: Definition, scalars: MemoryScalarStore, order: Order) -> Value:
    """What a list is ordered by; None where the task has no such value."""
    if order.by is By.CREATE_TIME:
        return None
    if order.by is By.DURATION:
        start, end = task.status.start_time, task.status.end_time
        return None if start is None or end is None else pages.micros(end) - pages.micros(start)
    if order.by is By.PARAMETER:
        known = _parameter(definition, order.group, order.name)
        return None if known is None else sort_keys.of_value(known.value)
    if order.by is By.METRIC:
        return _summary(task, scalars, order.group, order.name, order.of)[1]
    value = _moment(task, order.by.value)
    return pages.micros(value) if order.by.value.endswith("_time") and value is not None else value


class _Turned:
    """A value that sorts the other way round."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Turned) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Turned) and bool(self.value == other.value)

    __hash__ = None  # type: ignore[assignment]


def place_of(each: Listed | Place, order: Order) -> tuple[Any, ...]:
    """Where something stands in an order."""
    made = (each.task.create_time, each.task.id) if isinstance(each, Listed) else (each.create_time, each.task_id)
    if order.by is By.CREATE_TIME:
        return (made if order.ascending else _Turned(made),)
    value = each.value
    turned = () if value is None else (value if order.ascending else _Turned(value),)
    return (value is None, turned, _Turned(made))
