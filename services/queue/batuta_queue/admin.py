"""What must hold in the queue service's tables, what may go from them, and what it knows of entries: for `batuta
admin`."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, func, select, update

from batuta_chassis.administered import Administered, Chore, Known, Moment, Place, invariant, rows_gone
from batuta_chassis.requests import KEPT_HOURS
from batuta_queue.model import EntryState
from batuta_queue.sql import SqlStore
from batuta_queue.store import QueueStore
from batuta_queue.tables import agents, entries, events, log, metadata
from batuta_rpc.ids import Ids

_SOME = 1_000

INVARIANTS = (
    invariant(
        "one attempt",
        "a task has one open attempt at most",
        "SELECT task_id, count(*) FROM attempts WHERE phase < 60 GROUP BY task_id HAVING count(*) > 1",
        "task {0} has {1} open attempts",
    ),
    invariant(
        "attempt's entry",
        "an open attempt is the one that its entry names, and its agent's",
        "SELECT a.task_id, a.attempt, a.entry_id, e.state, e.attempt, a.agent_id, e.agent_id FROM attempts a "
        "LEFT JOIN entries e ON e.id = a.entry_id WHERE a.phase < 60 AND (e.id IS NULL OR e.state NOT IN (20, 40) "
        "OR e.attempt <> a.attempt OR e.task_id <> a.task_id OR e.agent_id <> a.agent_id)",
        "attempt {1} is open at agent {5}; its entry {2} has state {3}, attempt {4}, agent {6}",
    ),
    invariant(
        "lease",
        "an entry that is offered or runs has an open attempt",
        "SELECT e.id, e.task_id, e.state, e.attempt FROM entries e WHERE e.state IN (20, 40) AND NOT EXISTS "
        "(SELECT 1 FROM attempts a WHERE a.task_id = e.task_id AND a.attempt = e.attempt AND a.phase < 60)",
        "entry of task {1} in state {2} is leased for attempt {3}, which is not open",
    ),
    invariant(
        "attempt numbers",
        "no attempt has a greater number than its entry has given out",
        "SELECT a.task_id, a.attempt, e.attempt FROM attempts a JOIN entries e ON e.id = a.entry_id "
        "WHERE a.attempt > e.attempt",
        "attempt {1} is there, and its entry has given {2} only",
    ),
    invariant(
        "ends",
        "what has ended has the time of its end, and nothing else has",
        "SELECT id, state, end_millis FROM entries WHERE (state >= 50) <> (end_millis IS NOT NULL) UNION ALL "
        "SELECT task_id, phase, end_millis FROM attempts WHERE (phase >= 60) <> (end_millis IS NOT NULL)",
        "state or phase {1} with end {2}",
    ),
    invariant(
        "queues",
        "each entry that waits stands in a queue that there is",
        "SELECT e.id, e.queue_id FROM entries e WHERE e.state < 50 AND NOT (e.queue_id = '' AND e.state IN (20, 40)) "
        "AND NOT EXISTS "
        "(SELECT 1 FROM queues q WHERE q.id = e.queue_id)",
        "its queue {1} is gone",
    ),
    invariant(
        "event log",
        "the log has one beginning and end, and an event for every position between them",
        "SELECT 'log', l.first, l.head, (SELECT count(*) FROM events), (SELECT min(position) FROM events), "
        "(SELECT max(position) FROM events) FROM event_log l "
        "WHERE (SELECT count(*) FROM events) <> l.head - l.first + 1 "
        "OR (SELECT coalesce(min(position), l.first) FROM events) <> l.first "
        "OR (SELECT coalesce(max(position), l.head) FROM events) <> l.head "
        "UNION ALL SELECT 'log', 0, 0, 0, 0, 0 WHERE (SELECT count(*) FROM event_log) <> 1",
        "it says {1} to {2}, and there are {3} events from {4} to {5}",
    ),
    invariant(
        "places",
        "no entry and no attempt points beyond the end of the log",
        "SELECT e.id, e.position, e.last_position, l.head FROM entries e, event_log l "
        "WHERE e.position > l.head OR e.last_position > l.head UNION ALL "
        "SELECT a.task_id, a.last_position, a.last_position, l.head FROM attempts a, event_log l "
        "WHERE a.last_position > l.head",
        "place {1}, newest event {2}, and the log ends at {3}",
    ),
    invariant(
        "attempts' entries",
        "each attempt belongs to an entry that is kept",
        "SELECT a.task_id, a.attempt, a.entry_id FROM attempts a WHERE a.phase >= 60 AND NOT EXISTS "
        "(SELECT 1 FROM entries e WHERE e.id = a.entry_id)",
        "attempt {1} belongs to entry {2}, which is gone",
    ),
    invariant(
        "budgets",
        "an entry counts no more losses, failures and preemptions than it had attempts",
        "SELECT id, losses, failures, preemptions, attempt FROM entries "
        "WHERE losses + failures + preemptions > attempt OR losses < 0 OR failures < 0 OR preemptions < 0",
        "{1} losses, {2} failures, {3} preemptions in {4} attempts",
    ),
)


def _before(moment: Moment) -> int:
    kept: float = moment.limits.history_seconds
    return moment.millis - round(kept * 1000)


def _old(connection: Connection, moment: Moment) -> int:
    before = _before(moment)
    counts = (
        select(func.count()).where(entries.c.state >= int(EntryState.DONE), entries.c.end_millis < before),
        select(func.count()).where(events.c.event_millis < before),
        select(func.count()).where(agents.c.heartbeat_millis < before, agents.c.drain_request_millis.is_(None)),
    )
    return sum(int(connection.execute(each).scalar_one()) for each in counts)


def _purge(connection: Connection, moment: Moment) -> int:
    store: QueueStore = SqlStore(connection, moment.clock)
    return store.purge(_before(moment), _SOME)


def _know(connection: Connection, applied: int) -> Known:
    bounds = connection.execute(select(log)).one_or_none()
    alive = select(entries.c.id, entries.c.task_id, entries.c.attempt).where(entries.c.state < int(EntryState.DONE))
    news = select(events.c.entry_id).where(events.c.position > applied).distinct()
    return Known(
        place=None if bounds is None else Place(bounds.epoch, bounds.first, bounds.head),
        entries={row.id: (row.task_id, row.attempt) for row in connection.execute(alive)},
        unsure=frozenset(connection.execute(news).scalars()),
    )


def _restored(connection: Connection, ids: Ids) -> None:
    """Positions will be given out again for other events: whoever followed the log must begin again."""
    connection.execute(update(log).values(epoch=ids.new_id()))


ADMIN = Administered(
    service="queue",
    restored=_restored,
    metadata=metadata,
    migrations=Path(__file__).parent / "migrations",
    invariants=INVARIANTS,
    chores=(
        Chore("history", "ended entries, events and silent agents older than history_seconds", _old, _purge),
        rows_gone(
            "requests",
            f"answers to request_ids older than {KEPT_HOURS} hours",
            "requests",
            "create_time < :before",
            lambda moment: {"before": moment.millis - KEPT_HOURS * 3_600_000},
        ),
    ),
    know=_know,
)
