"""Tasks in SQL."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, literal_column, select, update

from batuta_api.projects.model import Counted, Project
from batuta_api.schema import Moment, shown, stored, values
from batuta_api.tasks import sort_keys, sql_wanted
from batuta_api.tasks.model import (
    Container,
    Definition,
    Environment,
    Parameter,
    Phase,
    Resources,
    Retry,
    Source,
    Tail,
    TailKind,
    Task,
    TaskState,
    TaskStatus,
)
from batuta_api.tasks.store import Changed, Listed
from batuta_api.tasks.tables import attempt_tails, task_definitions, task_parameters, task_tags, tasks
from batuta_api.tasks.wanted import NEWEST_FIRST, Order, Place, TaskFilter
from batuta_chassis.prepared import Prepared

_STATUS = (
    "state reason message attempt attempt_open phase local entry_id settled queue_id queue_name agent_id host "
    "exit_code signal last_iteration enqueue_time start_time end_time last_proof_time priority"
).split()
_MODEL = [column for column in tasks.c if column.name != "revision"]
_COLUMNS = [column.name for column in _MODEL]
_newest = tasks.alias("newest")
_NEXT_REVISION = select(
    func.coalesce(func.max(_newest.c.revision), literal_column("0")) + literal_column("1")
).scalar_subquery()
"""Writing transactions exclude each other, so the number after the greatest is free."""
_MOMENTS = frozenset(column.name for column in tasks.c if isinstance(column.type, Moment))
_BY_ID = Prepared(select(*_MODEL).where(tasks.c.id == bindparam("task_id")))
_UPDATE = update(tasks).where(tasks.c.id == bindparam("task_id")).values(revision=_NEXT_REVISION)
_PUT_STATUS = Prepared(_UPDATE, ["generation", "update_time", *_STATUS])
_DEFINITION = Prepared(select(task_definitions).where(task_definitions.c.task_id == bindparam("task")))
_DEFINITION_COLUMNS = [column.name for column in task_definitions.c]
_MILLISECOND = timedelta(milliseconds=1)
_FLAGS = ("attempt_open", "local", "settled")
_TAIL = select(attempt_tails.c.end).where(
    attempt_tails.c.task_id == bindparam("task"),
    attempt_tails.c.attempt == bindparam("number"),
    attempt_tails.c.producer == bindparam("name"),
    attempt_tails.c.kind == bindparam("stream"),
)


class SqlTaskStore:
    """`TaskStore` over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, task: Task, definition: Definition) -> None:
        """Keep a new task."""
        row = {"id": task.id, **_head(task), **_status(task)}
        self._connection.execute(insert(tasks).values(**row, revision=_NEXT_REVISION))
        self._connection.execute(insert(task_definitions), {"task_id": task.id, **_definition(definition)})
        self._put_tags(task)
        self._put_parameters(task.id, definition)

    def get(self, task_id: str) -> Task | None:
        """The task, or None."""
        row = _BY_ID.row(self._connection, {"task_id": task_id})
        if row is None:
            return None
        fields = dict(zip(_COLUMNS, row, strict=True))
        for name in _MOMENTS:
            fields[name] = shown(fields[name])
        fields.update((name, bool(fields[name])) for name in _FLAGS)
        return _task(fields)

    def definition(self, task_id: str) -> Definition:
        """The bulky part of a task that exists."""
        row = _DEFINITION.row(self._connection, {"task": task_id})
        if row is None:
            raise KeyError(task_id)
        fields = dict(zip(_DEFINITION_COLUMNS, row, strict=True))
        source = Source(**{name: fields[name] for name in Source.__dataclass_fields__})
        return Definition(source, tuple(Parameter(*parts) for parts in json.loads(fields["parameters"])))

    def put_status(self, task: Task) -> None:
        """Keep a changed status and generation of a task that exists."""
        fields: dict[str, Any] = {"generation": task.generation, "update_time": task.update_time, **_status(task)}
        for name in _MOMENTS & fields.keys():
            fields[name] = stored(fields[name])
        _PUT_STATUS.run(self._connection, {"task_id": task.id, **fields})

    def put(self, task: Task, definition: Definition | None) -> None:
        """Keep everything of a task that exists."""
        self._connection.execute(_UPDATE, {"task_id": task.id, **_head(task), **_status(task)})
        self._connection.execute(delete(task_tags).where(task_tags.c.task_id == task.id))
        self._put_tags(task)
        if definition is not None:
            changed = update(task_definitions).where(task_definitions.c.task_id == task.id)
            self._connection.execute(changed.values(**_definition(definition)))
            self._connection.execute(delete(task_parameters).where(task_parameters.c.task_id == task.id))
            self._put_parameters(task.id, definition)

    def remove(self, task_id: str) -> None:
        """Forget a task and all that is kept here of it but its attempts."""
        for table in (attempt_tails, task_parameters, task_tags, task_definitions):
            self._connection.execute(delete(table).where(table.c.task_id == task_id))
        self._connection.execute(delete(tasks).where(tasks.c.id == task_id))

    def _put_tags(self, task: Task) -> None:
        rows = [{"tag": tag, "task_id": task.id} for tag in task.tags]
        if rows:
            self._connection.execute(insert(task_tags), rows)

    def _put_parameters(self, task_id: str, definition: Definition) -> None:
        rows = [
            {
                "task_id": task_id,
                "section": each.section,
                "name": each.name,
                "value": each.value[: sort_keys.KEPT],
                "key": sort_keys.of_value(each.value),
            }
            for each in definition.parameters
        ]
        if rows:
            self._connection.execute(insert(task_parameters), rows)

    def parameters(self, task_ids: Sequence[str], names: Sequence[tuple[str, str]]) -> list[tuple[str, str, str, str]]:
        """Some parameters (section, name) of some tasks: (task id, section, name, value), in no order."""
        columns = task_parameters.c
        found: list[tuple[str, str, str, str]] = []
        for section, name in names:
            query = select(columns.task_id, columns.value).where(
                columns.task_id.in_(task_ids), columns.section == section, columns.name == name
            )
            found += [(str(task_id), section, name, str(value)) for task_id, value in self._connection.execute(query)]
        return found

    def many(self, task_ids: Sequence[str]) -> list[Task]:
        """Those of the tasks that there are, in any order."""
        query = select(*_MODEL).where(tasks.c.id.in_(task_ids))
        return [_task(values(row)) for row in self._connection.execute(query).mappings()]

    def page(self, wanted: TaskFilter, after: Place | None, limit: int, order: Order = NEWEST_FIRST) -> list[Listed]:
        """The next tasks after a place, in that order."""
        query = sql_wanted.page(wanted, order, after)
        if not wanted.name_regex:
            query = query.limit(limit)
        found: dict[str, Any] = {}
        for task_id, name, value in self._connection.execute(query):
            if wanted.named(name):
                found[task_id] = value
            if len(found) == limit:
                break
        # Whole rows for those of the page alone: what is sorted stays small.
        whole = {task.id: task for task in self.many(list(found))}
        return [Listed(whole[task_id], value) for task_id, value in found.items()]

    def revision(self) -> int:
        """The number of the newest change of any task; 0 before the first."""
        return int(self._connection.execute(select(func.coalesce(func.max(tasks.c.revision), 0))).scalar_one())

    def changed(self, after: int, wanted: TaskFilter, limit: int) -> list[Changed]:
        """The next tasks whose newest change came after a number, by number."""
        query = (
            select(tasks.c.revision, tasks.c.id).where(tasks.c.revision > after).order_by(tasks.c.revision).limit(limit)
        )
        moved = [(int(revision), str(task_id)) for revision, task_id in self._connection.execute(query)]
        ids = [task_id for _, task_id in moved]
        fitting = select(*_MODEL).where(tasks.c.id.in_(ids), *sql_wanted.conditions(wanted))
        whole = {row["id"]: _task(values(row)) for row in self._connection.execute(fitting).mappings()}
        fit = {task_id: task for task_id, task in whole.items() if wanted.named(task.display_name)}
        return [Changed(revision, task_id, fit.get(task_id)) for revision, task_id in moved]

    def reproject(self, project_id: str, to: Project, now: datetime) -> int:
        """Put all tasks of a project, deleted ones too, into another, or under another name of it. How many."""
        return self._change_all(tasks.c.project_id == project_id, now, project_id=to.id, project_name=to.display_name)

    def delete_all(self, project_ids: Sequence[str], now: datetime, purge_time: datetime) -> int:
        """Mark all tasks of some projects as deleted, to go for good at `purge_time`. How many."""
        here = tasks.c.project_id.in_(project_ids) & tasks.c.delete_time.is_(None)
        return self._change_all(here, now, delete_time=now, purge_time=purge_time)

    def _change_all(self, which: ColumnElement[bool], now: datetime, **fields: Any) -> int:
        """Change many rows at once, each with a revision of its own."""
        count = func.row_number().over(order_by=tasks.c.id).label("count")
        counted = select(tasks.c.id, count).where(which).subquery("counted")
        changed = (
            update(tasks)
            .where(tasks.c.id == counted.c.id)
            .values(
                generation=tasks.c.generation + 1,
                update_time=now,
                revision=self.revision() + counted.c["count"],
                **fields,
            )
        )
        return int(self._connection.execute(changed).rowcount)

    def count(self, project_ids: Sequence[str]) -> list[Counted]:
        """How many tasks of each state some projects have; deleted ones do not count."""
        archived = tasks.c.archive_time.is_not(None)
        query = (
            select(tasks.c.state, archived, func.count(), func.max(tasks.c.update_time))
            .where(tasks.c.project_id.in_(project_ids), tasks.c.delete_time.is_(None))
            .group_by(tasks.c.state, archived)
        )
        return [Counted(int(row[0]), bool(row[1]), int(row[2]), row[3]) for row in self._connection.execute(query)]

    def due_for_purge(self, now: datetime, limit: int) -> list[str]:
        """Ids of deleted tasks whose time is over. Never that of the newest change: its number must not come again."""
        newest = select(func.max(_newest.c.revision)).scalar_subquery()
        query = select(tasks.c.id).where(tasks.c.purge_time <= now, tasks.c.revision < newest).limit(limit)
        return [str(task_id) for task_id in self._connection.execute(query).scalars()]

    def touch(self, task_id: str, proof_time: datetime, last_iteration: int | None) -> None:
        """Note a sign of life, and a greatest iteration if it is a new one."""
        changes: dict[str, Any] = {"task_id": task_id, "last_proof_time": proof_time}
        if last_iteration is not None:
            changes["last_iteration"] = last_iteration
        self._connection.execute(_UPDATE, changes)

    def stopping_locally(self, before: datetime, limit: int) -> list[Task]:
        """Local runs that have been STOPPING, without a change or a sign of life, since before that time."""
        query = (
            select(*_MODEL)
            .where(tasks.c.state == int(TaskState.STOPPING), tasks.c.local, tasks.c.update_time < before)
            .where((tasks.c.last_proof_time.is_(None)) | (tasks.c.last_proof_time < before))
            .limit(limit)
        )
        return [_task(values(row)) for row in self._connection.execute(query).mappings()]

    def with_entries(self, after: str, limit: int) -> list[Task]:
        """The next live tasks after an id that have an entry at the queue service, by id."""
        live = [int(TaskState.QUEUED), int(TaskState.RUNNING), int(TaskState.STOPPING)]
        query = (
            select(*_MODEL)
            .where(tasks.c.state.in_(live), tasks.c.entry_id != "", tasks.c.id > after)
            .order_by(tasks.c.id)
            .limit(limit)
        )
        return [_task(values(row)) for row in self._connection.execute(query).mappings()]

    def add_tails(self, task_id: str, attempt: int, tails: Iterable[Tail]) -> None:
        """Keep how far producers of a closed attempt had written; of two ends the greater stays."""
        known = {(tail.producer, tail.kind): tail.end for tail in self.tails(task_id, attempt)}
        ends = dict(known)
        for tail in tails:
            key = (tail.producer, tail.kind)
            ends[key] = max(tail.end, ends.get(key, 0))
        changed = {key: end for key, end in ends.items() if known.get(key) != end}
        for key in changed.keys() & known.keys():
            self._connection.execute(delete(attempt_tails).where(*_one_tail(task_id, attempt, *key)))
        rows = [
            {"task_id": task_id, "attempt": attempt, "producer": producer, "kind": int(kind), "end": end}
            for (producer, kind), end in changed.items()
        ]
        if rows:
            self._connection.execute(insert(attempt_tails), rows)

    def tails(self, task_id: str, attempt: int) -> Sequence[Tail]:
        """The declared tails of an attempt, by producer and kind."""
        query = (
            select(attempt_tails)
            .where(attempt_tails.c.task_id == task_id, attempt_tails.c.attempt == attempt)
            .order_by(attempt_tails.c.producer, attempt_tails.c.kind)
        )
        return [Tail(row.producer, TailKind(row.kind), row.end) for row in self._connection.execute(query)]

    def tail(self, task_id: str, attempt: int, producer: str, kind: TailKind) -> int | None:
        """The declared end of one producer of a closed attempt; None when there is none."""
        wanted = {"task": task_id, "number": attempt, "name": producer, "stream": int(kind)}
        end: int | None = self._connection.execute(_TAIL, wanted).scalar_one_or_none()
        return end

    def drop_tails(self, task_id: str) -> None:
        """Forget all tails of a task."""
        self._connection.execute(delete(attempt_tails).where(attempt_tails.c.task_id == task_id))


def _one_tail(task_id: str, attempt: int, producer: str, kind: TailKind) -> tuple[Any, ...]:
    columns = attempt_tails.c
    return (
        columns.task_id == task_id,
        columns.attempt == attempt,
        columns.producer == producer,
        columns.kind == int(kind),
    )


def _head(task: Task) -> dict[str, Any]:
    return {
        "generation": task.generation,
        "display_name": task.display_name,
        "owner": task.owner,
        "project_id": task.project_id,
        "project_name": task.project_name,
        "type": task.type,
        "comment": task.comment,
        "parent_task_id": task.parent_task_id,
        "tags": json.dumps(task.tags),
        "python_version": task.environment.python_version,
        "requirements": json.dumps(task.environment.requirements),
        "cpus": task.resources.cpus,
        "memory_bytes": task.resources.memory_bytes,
        "gpus": task.resources.gpus,
        "lease_policy": task.retry.lease_policy,
        "max_losses": task.retry.max_losses,
        "max_failures": task.retry.max_failures,
        "time_limit_millis": _millis(task.retry.time_limit),
        "container": _container(task.environment.container),
        "archive_time": task.archive_time,
        "delete_time": task.delete_time,
        "purge_time": task.purge_time,
        "create_time": task.create_time,
        "update_time": task.update_time,
    }


def _container(container: Container) -> str:
    return json.dumps(asdict(container)) if container != Container() else "{}"


def _kept_container(kept: dict[str, Any]) -> Container:
    return Container(kept["image"], tuple(kept["arguments"]), kept["setup_script"]) if kept else Container()


def _millis(length: timedelta | None) -> int | None:
    return None if length is None else length // _MILLISECOND


def _status(task: Task) -> dict[str, Any]:
    fields = {name: getattr(task.status, name) for name in _STATUS}
    fields["state"], fields["phase"] = int(task.status.state), int(task.status.phase)
    return fields


def _definition(definition: Definition) -> dict[str, Any]:
    source = {name: getattr(definition.source, name) for name in Source.__dataclass_fields__}
    return {**source, "parameters": json.dumps([astuple(parameter) for parameter in definition.parameters])}


def _task(fields: dict[str, Any]) -> Task:
    status = {name: fields.pop(name) for name in _STATUS}
    status["state"], status["phase"] = TaskState(status["state"]), Phase(status["phase"])
    requirements = tuple(json.loads(fields.pop("requirements")))
    container = _kept_container(json.loads(fields.pop("container")))
    resources = Resources(fields.pop("cpus"), fields.pop("memory_bytes"), fields.pop("gpus"))
    limit = fields.pop("time_limit_millis")
    retry = Retry(
        fields.pop("lease_policy"),
        fields.pop("max_losses"),
        fields.pop("max_failures"),
        None if limit is None else limit * _MILLISECOND,
    )
    return Task(
        environment=Environment(fields.pop("python_version"), requirements, container),
        resources=resources,
        retry=retry,
        tags=tuple(json.loads(fields.pop("tags"))),
        status=TaskStatus(**status),
        **fields,
    )
