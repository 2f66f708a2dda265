"""What is kept of tasks, in the words of the domain. A store lives inside one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from batuta_api.projects.model import Counted, Project
from batuta_api.tasks.attempts import Attempt
from batuta_api.tasks.model import Definition, Tail, TailKind, Task
from batuta_api.tasks.wanted import NEWEST_FIRST, Order, Place, TaskFilter, Value


@dataclass(frozen=True)
class Listed:
    """A task of a page, and the value that the page is ordered by."""

    task: Task
    value: Value = None


@dataclass(frozen=True)
class Changed:
    """A task that changed, and the number of that change; None: it does not, or no longer, fit."""

    revision: int
    task_id: str
    task: Task | None


@dataclass(frozen=True)
class Cursor:
    """How far the queue service's events have been applied."""

    log_epoch: str
    position: int


class TaskStore(Protocol):
    """The tasks of one transaction."""

    def add(self, task: Task, definition: Definition) -> None:
        """Keep a new task."""
        ...

    def get(self, task_id: str) -> Task | None:
        """The task, or None. In a writing transaction nobody else changes it until the end."""
        ...

    def definition(self, task_id: str) -> Definition:
        """The bulky part of a task that exists."""
        ...

    def put_status(self, task: Task) -> None:
        """Keep a changed status and generation of a task that exists."""
        ...

    def put(self, task: Task, definition: Definition | None) -> None:
        """Keep everything of a task that exists; None leaves the definition as it is."""
        ...

    def remove(self, task_id: str) -> None:
        """Forget a task and all that is kept here of it but its attempts."""
        ...

    def parameters(self, task_ids: Sequence[str], names: Sequence[tuple[str, str]]) -> list[tuple[str, str, str, str]]:
        """Some parameters (section, name) of some tasks: (task id, section, name, value), in no order."""
        ...

    def many(self, task_ids: Sequence[str]) -> list[Task]:
        """Those of the tasks that there are, in any order."""
        ...

    def page(self, wanted: TaskFilter, after: Place | None, limit: int, order: Order = NEWEST_FIRST) -> list[Listed]:
        """The next tasks after a place, in that order."""
        ...

    def revision(self) -> int:
        """The number of the newest change of any task; 0 before the first."""
        ...

    def changed(self, after: int, wanted: TaskFilter, limit: int) -> list[Changed]:
        """The next tasks whose newest change came after a number, by number."""
        ...

    def reproject(self, project_id: str, to: Project, now: datetime) -> int:
        """Put all tasks of a project, deleted ones too, into another, or under another name of it. How many."""
        ...

    def delete_all(self, project_ids: Sequence[str], now: datetime, purge_time: datetime) -> int:
        """Mark all tasks of some projects as deleted, to go for good at `purge_time`. How many."""
        ...

    def count(self, project_ids: Sequence[str]) -> list[Counted]:
        """How many tasks of each state some projects have; deleted ones do not count."""
        ...

    def due_for_purge(self, now: datetime, limit: int) -> list[str]:
        """Ids of deleted tasks whose time is over. Never that of the newest change: its number must not come again."""
        ...

    def touch(self, task_id: str, proof_time: datetime, last_iteration: int | None) -> None:
        """Note a sign of life, and a greatest iteration if it is a new one. Not a new generation."""
        ...

    def stopping_locally(self, before: datetime, limit: int) -> list[Task]:
        """Local runs that have been STOPPING, without a change or a sign of life, since before that time."""
        ...

    def with_entries(self, after: str, limit: int) -> list[Task]:
        """The next live tasks after an id that have an entry at the queue service, by id."""
        ...

    def add_tails(self, task_id: str, attempt: int, tails: Iterable[Tail]) -> None:
        """Keep how far producers of a closed attempt had written; of two ends the greater stays."""
        ...

    def tails(self, task_id: str, attempt: int) -> Sequence[Tail]:
        """The declared tails of an attempt, by producer and kind."""
        ...

    def tail(self, task_id: str, attempt: int, producer: str, kind: TailKind) -> int | None:
        """The declared end of one producer of a closed attempt; None when there is none."""
        ...

    def drop_tails(self, task_id: str) -> None:
        """Forget all tails of a task: nothing late is taken any more."""
        ...


class AttemptStore(Protocol):
    """What has become of each attempt, in the same transaction as the tasks."""

    def get(self, task_id: str, number: int) -> Attempt | None:
        """One attempt, or None."""
        ...

    def newest(self, task_id: str, limit: int, before: int = 0) -> list[Attempt]:
        """The newest attempts of a task; with `before`, those of lower numbers."""
        ...

    def put(self, task_id: str, attempt: Attempt) -> bool:
        """Keep an attempt, new or known. True when it is new."""
        ...

    def trim(self, task_id: str, keep: int) -> int:
        """Drop what is more than `keep`: offers that were given back first, then the oldest. How many went."""
        ...


class CursorStore(Protocol):
    """The place in the queue service's event log, in the same transaction as the tasks that its events moved."""

    def get(self) -> Cursor | None:
        """The place, or None before the first event."""
        ...

    def advance(self, known: Cursor | None, to: Cursor | None) -> bool:
        """Move from `known` to `to` (None forgets the place). False, and no change, when another process moved it."""
        ...
