"""Tasks in memory, and builders, for tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from batuta_api.metrics.testing import MemoryScalarStore
from batuta_api.projects.model import Counted, Project
from batuta_api.tasks.attempts import Attempt
from batuta_api.tasks.model import Definition, Phase, Tail, TailKind, Task, TaskState, TaskStatus
from batuta_api.tasks.store import Changed, Cursor, Listed
from batuta_api.tasks.testing_wanted import fits, place_of, value_of
from batuta_api.tasks.wanted import NEWEST_FIRST, Order, Place, TaskFilter

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def a_task(task_id: str = "t1", **fields: Any) -> Task:
    """A task. Fields of `TaskStatus` may be given beside those of `Task`."""
    status = {name: fields.pop(name) for name in list(fields) if name in TaskStatus.__dataclass_fields__}
    values: dict[str, Any] = {
        "id": task_id,
        "display_name": "digits",
        "owner": "ada",
        "project_id": "p1",
        "project_name": "vision",
        "create_time": NOON,
        "update_time": NOON,
        "status": TaskStatus(**status),
    }
    return Task(**{**values, **fields})


class MemoryTaskStore:
    """`TaskStore` in dictionaries."""

    def __init__(self, scalars: MemoryScalarStore | None = None) -> None:
        """`scalars`: what filters and orders by metrics look into."""
        self._scalars = scalars or MemoryScalarStore()
        self._tasks: dict[str, Task] = {}
        self._revisions: dict[str, int] = {}
        self._definitions: dict[str, Definition] = {}
        self._tails: dict[tuple[str, int, str, TailKind], int] = {}

    def add(self, task: Task, definition: Definition) -> None:
        """Keep a new task."""
        if task.id in self._tasks:
            raise ValueError(f"task {task.id} exists")
        self._definitions[task.id] = definition
        self._keep(task)

    def _keep(self, task: Task) -> None:
        self._tasks[task.id] = task
        self._revisions[task.id] = self.revision() + 1

    def get(self, task_id: str) -> Task | None:
        """The task, or None."""
        return self._tasks.get(task_id)

    def definition(self, task_id: str) -> Definition:
        """The bulky part of a task that exists."""
        return self._definitions[task_id]

    def put_status(self, task: Task) -> None:
        """Keep a changed status and generation of a task that exists."""
        known = self._tasks[task.id]
        self._keep(replace(known, status=task.status, generation=task.generation, update_time=task.update_time))

    def put(self, task: Task, definition: Definition | None) -> None:
        """Keep everything of a task that exists."""
        self._keep(task)
        if definition is not None:
            self._definitions[task.id] = definition

    def remove(self, task_id: str) -> None:
        """Forget a task and all that is kept here of it but its attempts."""
        del self._tasks[task_id], self._definitions[task_id], self._revisions[task_id]
        self.drop_tails(task_id)

    def parameters(self, task_ids: Sequence[str], names: Sequence[tuple[str, str]]) -> list[tuple[str, str, str, str]]:
        """Some parameters (section, name) of some tasks: (task id, section, name, value), in no order."""
        return [
            (task_id, each.section, each.name, each.value)
            for task_id in task_ids
            for each in self.definition(task_id).parameters
            if (each.section, each.name) in names
        ]

    def many(self, task_ids: Sequence[str]) -> list[Task]:
        """Those of the tasks that there are, in any order."""
        return [self._tasks[task_id] for task_id in task_ids if task_id in self._tasks]

    def page(self, wanted: TaskFilter, after: Place | None, limit: int, order: Order = NEWEST_FIRST) -> list[Listed]:
        """The next tasks after a place, in that order."""
        found = [
            Listed(task, value_of(task, self._definitions[task.id], self._scalars, order))
            for task in self._tasks.values()
            if self._fits(task, wanted)
        ]
        found.sort(key=lambda each: place_of(each, order))
        if after is not None:
            here = place_of(after, order)
            found = [each for each in found if place_of(each, order) > here]
        return found[:limit]

    def _fits(self, task: Task, wanted: TaskFilter) -> bool:
        return fits(task, self._definitions[task.id], self._scalars, wanted)

    def revision(self) -> int:
        """The number of the newest change of any task; 0 before the first."""
        return max(self._revisions.values(), default=0)

    def changed(self, after: int, wanted: TaskFilter, limit: int) -> list[Changed]:
        """The next tasks whose newest change came after a number, by number."""
        moved = sorted((number, task_id) for task_id, number in self._revisions.items() if number > after)[:limit]
        return [
            Changed(number, task_id, task if self._fits(task, wanted) else None)
            for number, task_id in moved
            for task in (self._tasks[task_id],)
        ]

    def reproject(self, project_id: str, to: Project, now: datetime) -> int:
        """Put all tasks of a project, deleted ones too, into another, or under another name of it. How many."""
        found = sorted((task for task in self._tasks.values() if task.project_id == project_id), key=lambda t: t.id)
        for task in found:
            self._keep(task.edited(now, project_id=to.id, project_name=to.display_name))
        return len(found)

    def delete_all(self, project_ids: Sequence[str], now: datetime, purge_time: datetime) -> int:
        """Mark all tasks of some projects as deleted, to go for good at `purge_time`. How many."""
        found = [task for task in self._tasks.values() if task.project_id in project_ids and task.delete_time is None]
        for task in sorted(found, key=lambda task: task.id):
            self._keep(task.edited(now, delete_time=now, purge_time=purge_time))
        return len(found)

    def count(self, project_ids: Sequence[str]) -> list[Counted]:
        """How many tasks of each state some projects have; deleted ones do not count."""
        groups: dict[tuple[int, bool], list[datetime]] = {}
        for task in self._tasks.values():
            if task.project_id in project_ids and task.delete_time is None:
                key = (int(task.status.state), task.archive_time is not None)
                groups.setdefault(key, []).append(task.update_time)
        return [Counted(*key, len(changes), max(changes)) for key, changes in groups.items()]

    def due_for_purge(self, now: datetime, limit: int) -> list[str]:
        """Ids of deleted tasks whose time is over. Never that of the newest change: its number must not come again."""
        due = [task.id for task in self._tasks.values() if task.purge_time is not None and task.purge_time <= now]
        return [task_id for task_id in due if self._revisions[task_id] < self.revision()][:limit]

    def touch(self, task_id: str, proof_time: datetime, last_iteration: int | None) -> None:
        """Note a sign of life, and a greatest iteration if it is a new one."""
        task = self._tasks[task_id]
        kept = task.status.last_iteration if last_iteration is None else last_iteration
        status = replace(task.status, last_proof_time=proof_time, last_iteration=kept)
        self._keep(replace(task, status=status))

    def stopping_locally(self, before: datetime, limit: int) -> list[Task]:
        """Local runs that have been STOPPING without a change or a sign of life since before that time."""
        return [
            task
            for task in self._tasks.values()
            if task.status.state is TaskState.STOPPING and task.status.local and task.update_time < before
            if task.status.last_proof_time is None or task.status.last_proof_time < before
        ][:limit]

    def with_entries(self, after: str, limit: int) -> list[Task]:
        """The next live tasks after an id that have an entry at the queue service, by id."""
        live = (TaskState.QUEUED, TaskState.RUNNING, TaskState.STOPPING)
        found = [task for task in self._tasks.values() if task.status.state in live and task.status.entry_id]
        return sorted((task for task in found if task.id > after), key=lambda task: task.id)[:limit]

    def add_tails(self, task_id: str, attempt: int, tails: Iterable[Tail]) -> None:
        """Keep how far producers of a closed attempt had written; of two ends the greater stays."""
        for tail in tails:
            key = (task_id, attempt, tail.producer, tail.kind)
            self._tails[key] = max(tail.end, self._tails.get(key, 0))

    def tails(self, task_id: str, attempt: int) -> Sequence[Tail]:
        """The declared tails of an attempt, by producer and kind."""
        found = [(key, end) for key, end in self._tails.items() if key[:2] == (task_id, attempt)]
        return [Tail(key[2], key[3], end) for key, end in sorted(found)]

    def tail(self, task_id: str, attempt: int, producer: str, kind: TailKind) -> int | None:
        """The declared end of one producer of a closed attempt; None when there is none."""
        return self._tails.get((task_id, attempt, producer, kind))

    def drop_tails(self, task_id: str) -> None:
        """Forget all tails of a task."""
        self._tails = {key: end for key, end in self._tails.items() if key[0] != task_id}


class MemoryAttemptStore:
    """`AttemptStore` in a dictionary."""

    def __init__(self) -> None:
        self._attempts: dict[tuple[str, int], Attempt] = {}

    def get(self, task_id: str, number: int) -> Attempt | None:
        """One attempt, or None."""
        return self._attempts.get((task_id, number))

    def newest(self, task_id: str, limit: int, before: int = 0) -> list[Attempt]:
        """The newest attempts of a task; with `before`, those of lower numbers."""
        numbers = sorted((number for owner, number in self._attempts if owner == task_id), reverse=True)
        return [self._attempts[task_id, number] for number in numbers if not before or number < before][:limit]

    def put(self, task_id: str, attempt: Attempt) -> bool:
        """Keep an attempt, new or known. True when it is new."""
        key = (task_id, attempt.number)
        new = key not in self._attempts
        self._attempts[key] = attempt
        return new

    def trim(self, task_id: str, keep: int) -> int:
        """Drop what is more than `keep`: offers that were given back first, then the oldest. How many went."""
        mine = [attempt for (owner, _), attempt in self._attempts.items() if owner == task_id]
        mine.sort(key=lambda attempt: (attempt.phase is not Phase.REJECTED, attempt.number))
        gone = mine[: max(0, len(mine) - keep)]
        for attempt in gone:
            del self._attempts[task_id, attempt.number]
        return len(gone)


class MemoryCursorStore:
    """`CursorStore` in memory."""

    def __init__(self) -> None:
        self._place: Cursor | None = None

    def get(self) -> Cursor | None:
        """The place, or None before the first event."""
        return self._place

    def advance(self, known: Cursor | None, to: Cursor | None) -> bool:
        """Move from `known` to `to`. False, and no change, when another process moved it."""
        if known != self._place:
            return False
        self._place = to
        return True
