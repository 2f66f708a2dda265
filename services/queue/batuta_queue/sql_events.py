"""The event log as rows, and what is forgotten in time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, insert, literal_column, select, update

from batuta_chassis.bulk import InsertRows
from batuta_chassis.prepared import Prepared
from batuta_queue.history_store import of_agent
from batuta_queue.model import AttemptPhase, EntryState, Event, Reason, Tail
from batuta_queue.sql_history import drop_history
from batuta_queue.sql_share import forget_placements
from batuta_queue.store import LogBounds
from batuta_queue.tables import agents, attempts, entries, events, journals, log

_LOG_ID = 1
_AGENTS = 2
"""Forgotten in one commit at most: each has thousands of rows of history."""
_OPEN: ColumnElement[int] = literal_column(str(int(AttemptPhase.SUCCEEDED)))
# The row lock that this takes, held until commit, is what puts positions and commits into one order.
_NEXT = Prepared(
    update(log)
    .where(log.c.id == literal_column(str(_LOG_ID)))
    .values(head=log.c.head + bindparam("count"))
    .returning(log.c.head)
)
_INSERT = InsertRows(events)
_AFTER = (
    select(events).where(events.c.position > bindparam("after")).order_by(events.c.position).limit(bindparam("count"))
)
_BOUNDS = select(log).where(log.c.id == _LOG_ID)
_OLD_ENTRIES = (
    select(entries.c.id)
    .where(entries.c.state >= literal_column(str(int(EntryState.DONE))), entries.c.end_millis < bindparam("before"))
    .limit(bindparam("count"))
)
_OLD_EVENTS = select(events.c.position, events.c.event_millis).order_by(events.c.position).limit(bindparam("count"))


class EventRows:
    """The part of the store that keeps the event log."""

    _connection: Connection

    def next_positions(self, count: int) -> int:
        """See `QueueStore.next_positions`."""
        row = _NEXT.row(self._connection, {"count": count})
        assert row is not None, "the log was not opened"
        head: int = row[0]
        return head - count + 1

    def add_events(self, new: Sequence[Event]) -> None:
        """See `QueueStore.add_events`."""
        if new:
            _INSERT.run(self._connection, [_values(event) for event in new])

    def events(self, after: int, limit: int) -> list[Event]:
        """See `QueueStore.events`."""
        return [event_of(row) for row in self._connection.execute(_AFTER, {"after": after, "count": limit})]

    def log_bounds(self) -> LogBounds:
        """See `QueueStore.log_bounds`."""
        row = self._connection.execute(_BOUNDS).one()
        return LogBounds(row.epoch, row.first, row.head)

    def open_log(self, epoch: str) -> None:
        """See `QueueStore.open_log`."""
        if self._connection.execute(_BOUNDS).first() is None:
            self._connection.execute(insert(log), {"id": _LOG_ID, "epoch": epoch, "head": 0, "first": 1})

    def renew_log(self, epoch: str) -> None:
        """See `QueueStore.renew_log`."""
        self._connection.execute(update(log).where(log.c.id == _LOG_ID).values(epoch=epoch))

    def purge(self, before: int, limit: int) -> int:
        """See `QueueStore.purge`."""
        old = self._connection.execute(_OLD_ENTRIES, {"before": before, "count": limit}).scalars().all()
        for start in range(0, len(old), 500):
            part = old[start : start + 500]
            # By task, which is how attempts are found; a task may have other entries, whose attempts stay.
            tasks = select(entries.c.task_id).where(entries.c.id.in_(part))
            gone = delete(attempts).where(attempts.c.task_id.in_(tasks), attempts.c.entry_id.in_(part))
            self._connection.execute(gone)
            self._connection.execute(delete(entries).where(entries.c.id.in_(part)))
        return len(old) + self._purge_events(before, limit) + self._purge_agents(before, limit)

    def _purge_agents(self, before: int, limit: int) -> int:
        """Forget agents that were silent for so long, and the journals that no agent has any more. A drain that stands
        is remembered, and its agent with it."""
        silent = (
            select(agents.c.id)
            .where(agents.c.heartbeat_millis < before, agents.c.drain_request_millis.is_(None))
            .limit(min(limit, _AGENTS))
        )
        gone = list(self._connection.execute(silent).scalars())
        if gone:
            self._connection.execute(delete(agents).where(agents.c.id.in_(gone)))
            for agent_id in gone:
                drop_history(self._connection, of_agent(agent_id))
            used = select(agents.c.journal_id).union(select(attempts.c.journal_id).where(attempts.c.phase < _OPEN))
            self._connection.execute(delete(journals).where(journals.c.id.not_in(used)))
            forget_placements(self._connection)
        return len(gone)

    def _purge_events(self, before: int, limit: int) -> int:
        last = 0
        for position, millis in self._connection.execute(_OLD_EVENTS, {"count": limit}):
            if millis >= before:
                break
            last = position
        if not last:
            return 0
        gone = self._connection.execute(delete(events).where(events.c.position <= last)).rowcount
        self._connection.execute(update(log).where(log.c.id == _LOG_ID).values(first=last + 1))
        return gone


def event_of(row: Row[Any]) -> Event:
    """The event in a row."""
    reason = None
    if row.reason_name is not None:
        reason = Reason(row.reason_name, row.reason_message, row.reason_code, row.reason_status)
    return Event(
        position=row.position,
        entry_id=row.entry_id,
        task_id=row.task_id,
        entry_state=EntryState(row.entry_state),
        attempt=row.attempt,
        phase=AttemptPhase(row.phase),
        event_millis=row.event_millis,
        agent_id=row.agent_id,
        host=row.host,
        reason=reason,
        exit_code=row.exit_code,
        signal=row.signal,
        tails=tuple(Tail(**each) for each in row.tails or ()),
        queue_id=row.queue_id,
    )


def _values(event: Event) -> dict[str, Any]:
    reason = event.reason
    return {
        "position": event.position,
        "entry_id": event.entry_id,
        "task_id": event.task_id,
        "entry_state": int(event.entry_state),
        "attempt": event.attempt,
        "phase": int(event.phase),
        "event_millis": event.event_millis,
        "agent_id": event.agent_id,
        "host": event.host,
        "reason_name": None if reason is None else reason.name,
        "reason_message": None if reason is None else reason.message,
        "reason_code": None if reason is None else reason.code,
        "reason_status": None if reason is None else reason.status,
        "exit_code": event.exit_code,
        "signal": event.signal,
        "tails": json.dumps([asdict(tail) for tail in event.tails]) if event.tails else None,
        "queue_id": event.queue_id,
    }
