"""Entries as rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)

from batuta_chassis.bulk import InsertRows, UpdateRows
from batuta_chassis.prepared import Prepared
from batuta_queue.model import Cancel, CancelReason, Entry, EntryState, LeasePolicy, Payload, Resources
from batuta_queue.store import Outlook
from batuta_queue.tables import attempts, entries, queues

ENTRY_COLUMNS = [column for column in entries.columns if not column.name.startswith("payload")]
# Literals, not parameters: SQLite takes a partial index only when it can see that the condition holds.
_WAITING: ColumnElement[int] = literal_column(str(int(EntryState.WAITING)))
_ENDED: ColumnElement[int] = literal_column(str(int(EntryState.DONE)))
_MUTABLE = (
    "state",
    "not_before_millis",
    "end_millis",
    "attempt",
    "agent_id",
    "hold_reason",
    "losses",
    "failures",
    "preemptions",
    "last_position",
    "wait_millis",
    "last_lost_agent",
    "cancel_reason",
    "cancel_grace_millis",
)

_INSERT = InsertRows(entries)
_UPDATE = UpdateRows(entries, {"key": "id"}, _MUTABLE)
_PLACE = UpdateRows(entries, {"key": "id"}, ("queue_id", "priority", "position"))
_MAKE_ROOM = (
    update(entries)
    .where(
        entries.c.queue_id == bindparam("queue"),
        entries.c.state < _ENDED,
        entries.c.priority == bindparam("same"),
        entries.c.position < bindparam("before"),
    )
    .values(position=entries.c.position - 1)
)
_BY_ID = select(*ENTRY_COLUMNS).where(entries.c.id == bindparam("id"))
_STATES = select(entries.c.id, entries.c.state).where(entries.c.id.in_(bindparam("ids", expanding=True)))
_PAUSED = exists().where(queues.c.id == bindparam("queue"), queues.c.pause_millis.is_not(None))
_OUTLOOK = Prepared(
    select(
        exists().where(entries.c.id == bindparam("id")),
        exists().where(entries.c.queue_id == bindparam("queue"), entries.c.state == _WAITING),
        select(func.max(attempts.c.attempt)).where(attempts.c.task_id == bindparam("task")).scalar_subquery(),
        _PAUSED,
        select(queues.c.lease_policy).where(queues.c.id == bindparam("queue")).scalar_subquery(),
    )
)
_NEXT = (
    select(entries)
    .where(
        entries.c.queue_id == bindparam("queue"),
        entries.c.state == _WAITING,
        entries.c.not_before_millis <= bindparam("now"),
        ~_PAUSED,
    )
    .order_by(entries.c.priority.desc(), entries.c.position)
    .limit(bindparam("count"))
)
_WAITING_QUEUES = (
    select(entries.c.queue_id, func.max(entries.c.not_before_millis))
    .where(entries.c.state == _WAITING)
    .group_by(entries.c.queue_id)
)
_LIVE = (
    select(*ENTRY_COLUMNS)
    .where(entries.c.queue_id == bindparam("queue"), entries.c.state < _ENDED)
    .order_by(entries.c.priority.desc(), entries.c.position)
    .limit(bindparam("count"))
)
_LAST = (
    select(*ENTRY_COLUMNS)
    .where(entries.c.queue_id == bindparam("queue"), entries.c.state < _ENDED)
    .order_by(entries.c.priority, entries.c.position.desc())
    .limit(1)
)
_LIVE_AFTER = _LIVE.where(
    entries.c.priority <= bindparam("priority"),
    or_(entries.c.priority < bindparam("priority"), entries.c.position > bindparam("position")),
)
_PAYLOADS = select(entries.c.id, entries.c.payload, entries.c.payload_media_type).where(
    entries.c.id.in_(bindparam("ids", expanding=True))
)


class EntryRows:
    """The part of the store that keeps entries."""

    _connection: Connection

    def entry(self, entry_id: str) -> Entry | None:
        """See `QueueStore.entry`."""
        row = self._connection.execute(_BY_ID, {"id": entry_id}).first()
        return None if row is None else entry_of(row)

    def add_entry(self, entry: Entry, payload: Payload) -> None:
        """See `QueueStore.add_entry`."""
        values = _life(entry)
        values.update(_birth(entry), payload=payload.data, payload_media_type=payload.media_type)
        _INSERT.run(self._connection, [values])

    def add_entries(self, new: Sequence[tuple[Entry, Payload]], position: int) -> None:
        """See `QueueStore.add_entries`."""
        rows: list[dict[str, Any]] = []
        for place, (entry, payload) in enumerate(new, position):
            values = {**_life(entry), **_birth(entry), "position": place, "last_position": place}
            values.update(payload=payload.data, payload_media_type=payload.media_type)
            rows.append(values)
        _INSERT.run(self._connection, rows)

    def entry_states(self, entry_ids: Sequence[str]) -> Mapping[str, EntryState]:
        """See `QueueStore.entry_states`."""
        found: dict[str, EntryState] = {}
        for start in range(0, len(entry_ids), 500):
            for row in self._connection.execute(_STATES, {"ids": list(entry_ids[start : start + 500])}):
                found[row.id] = EntryState(row.state)
        return found

    def save_entries(self, changed: Sequence[Entry]) -> None:
        """See `QueueStore.save_entries`."""
        if changed:
            _UPDATE.run(self._connection, [{"key": entry.id, **_life(entry)} for entry in changed])

    def place_entries(self, moved: Sequence[Entry]) -> None:
        """See `QueueStore.place_entries`."""
        if moved:
            places = [
                {"key": each.id, "queue_id": each.queue_id, "priority": each.priority, "position": each.position}
                for each in moved
            ]
            _PLACE.run(self._connection, places)

    def make_room(self, before: Entry) -> int:
        """See `QueueStore.make_room`."""
        place = {"queue": before.queue_id, "same": before.priority, "before": before.position}
        self._connection.execute(_MAKE_ROOM, place)
        return before.position - 1

    def outlook(self, entry: Entry) -> Outlook:
        """See `QueueStore.outlook`."""
        values = {"id": entry.id, "queue": entry.queue_id, "task": entry.task_id}
        row = _OUTLOOK.row(self._connection, values)
        assert row is not None
        known, others_wait, last, paused, policy = row
        there = None if policy is None else LeasePolicy(policy)
        return Outlook(bool(known), bool(others_wait), last or 0, bool(paused), there)

    def waiting(self, queue_id: str, limit: int, now: int) -> list[tuple[Entry, Payload]]:
        """See `QueueStore.waiting`."""
        rows = self._connection.execute(_NEXT, {"queue": queue_id, "now": now, "count": limit})
        return [(entry_of(row), Payload(row.payload, row.payload_media_type)) for row in rows]

    def waiting_queues(self) -> Mapping[str, int]:
        """See `QueueStore.waiting_queues`."""
        return {row[0]: row[1] for row in self._connection.execute(_WAITING_QUEUES)}

    def live_entries(
        self, queue_id: str, after: tuple[int, int] | None, limit: int, states: Collection[EntryState] = ()
    ) -> list[Entry]:
        """See `QueueStore.live_entries`."""
        parameters: dict[str, Any] = {"queue": queue_id, "count": limit}
        if after is not None:
            parameters.update(priority=after[0], position=after[1])
        wanted = _LIVE if after is None else _LIVE_AFTER
        if states:
            wanted = wanted.where(entries.c.state.in_(sorted(map(int, states))))
        return [entry_of(row) for row in self._connection.execute(wanted, parameters)]

    def last_entry(self, queue_id: str) -> Entry | None:
        """See `QueueStore.last_entry`."""
        row = self._connection.execute(_LAST, {"queue": queue_id}).first()
        return None if row is None else entry_of(row)

    def payloads(self, entry_ids: Sequence[str]) -> Mapping[str, Payload]:
        """See `QueueStore.payloads`."""
        found: dict[str, Payload] = {}
        for start in range(0, len(entry_ids), 500):
            part = list(entry_ids[start : start + 500])
            for row in self._connection.execute(_PAYLOADS, {"ids": part}):
                found[row.id] = Payload(row.payload, row.payload_media_type)
        return found


def entry_of(row: Row[Any]) -> Entry:
    """The entry in a row that has `ENTRY_COLUMNS`."""
    cancel = None
    if row.cancel_reason is not None:
        cancel = Cancel(row.cancel_grace_millis, CancelReason(row.cancel_reason))
    return Entry(
        id=row.id,
        task_id=row.task_id,
        queue_id=row.queue_id,
        state=EntryState(row.state),
        enqueue_millis=row.enqueue_millis,
        priority=row.priority,
        owner=row.owner,
        project_id=row.project_id,
        resources=Resources(row.cpus, row.memory_bytes, row.gpus),
        policy=LeasePolicy(row.policy),
        max_losses=row.max_losses,
        max_failures=row.max_failures,
        time_limit_millis=row.time_limit_millis,
        position=row.position,
        attempt=row.attempt,
        agent_id=row.agent_id,
        hold_reason=row.hold_reason,
        losses=row.losses,
        failures=row.failures,
        preemptions=row.preemptions,
        last_lost_agent=row.last_lost_agent,
        not_before_millis=row.not_before_millis,
        cancel=cancel,
        end_millis=row.end_millis,
        last_position=row.last_position,
        wait_millis=row.wait_millis,
        traceparent=row.traceparent,
    )


def _birth(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "task_id": entry.task_id,
        "queue_id": entry.queue_id,
        "priority": entry.priority,
        "position": entry.position,
        "enqueue_millis": entry.enqueue_millis,
        "owner": entry.owner,
        "project_id": entry.project_id,
        "cpus": entry.resources.cpus,
        "memory_bytes": entry.resources.memory_bytes,
        "gpus": entry.resources.gpus,
        "policy": int(entry.policy),
        "max_losses": entry.max_losses,
        "max_failures": entry.max_failures,
        "time_limit_millis": entry.time_limit_millis,
        "traceparent": entry.traceparent,
    }


def _life(entry: Entry) -> dict[str, Any]:
    return {
        "state": int(entry.state),
        "not_before_millis": entry.not_before_millis,
        "end_millis": entry.end_millis,
        "attempt": entry.attempt,
        "agent_id": entry.agent_id,
        "hold_reason": entry.hold_reason,
        "losses": entry.losses,
        "failures": entry.failures,
        "preemptions": entry.preemptions,
        "last_position": entry.last_position,
        "wait_millis": entry.wait_millis,
        "last_lost_agent": entry.last_lost_agent,
        "cancel_reason": None if entry.cancel is None else int(entry.cancel.reason),
        "cancel_grace_millis": None if entry.cancel is None else entry.cancel.grace_millis,
    }
