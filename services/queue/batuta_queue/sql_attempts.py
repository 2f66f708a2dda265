"""Attempts as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, literal_column, select, tuple_

from batuta_chassis.bulk import InsertRows, UpdateRows
from batuta_queue.model import Attempt, AttemptPhase, Entry, Holder, Ref
from batuta_queue.sql_entries import ENTRY_COLUMNS, entry_of
from batuta_queue.tables import attempts, entries

# A literal, not a parameter: SQLite takes a partial index only when it can see that the condition holds.
OPEN: ColumnElement[int] = literal_column(str(int(AttemptPhase.SUCCEEDED)))
"""Attempts of a lower phase are open."""
_INSERT = InsertRows(attempts)
_UPDATE = UpdateRows(
    attempts,
    {"key_task": "task_id", "key_attempt": "attempt"},
    ("phase", "accept_millis", "end_millis", "last_position"),
)
# Columns of both tables that share a name get a prefix.
BOTH = select(*ENTRY_COLUMNS, *(column.label(f"attempt_{column.name}") for column in attempts.columns)).join(
    attempts, attempts.c.entry_id == entries.c.id
)
_BY_REF = BOTH.where(attempts.c.task_id == bindparam("task"), attempts.c.attempt == bindparam("number"))
_BY_REFS = BOTH.where(tuple_(attempts.c.task_id, attempts.c.attempt).in_(bindparam("refs", expanding=True)))
_OPEN = BOTH.where(attempts.c.phase < OPEN).order_by(attempts.c.offer_millis)
_OPEN_OF = _OPEN.where(attempts.c.journal_id == bindparam("journal"))
_LAST = (
    select(attempts.c.task_id, func.max(attempts.c.attempt))
    .where(attempts.c.task_id.in_(bindparam("tasks", expanding=True)))
    .group_by(attempts.c.task_id)
)
_LAST_OF_ONE = select(func.max(attempts.c.attempt)).where(attempts.c.task_id == bindparam("task"))


class AttemptRows:
    """The part of the store that keeps attempts."""

    _connection: Connection

    def attempt(self, ref: Ref) -> tuple[Entry, Attempt] | None:
        """See `QueueStore.attempt`."""
        row = self._connection.execute(_BY_REF, {"task": ref.task_id, "number": ref.attempt}).first()
        return None if row is None else (entry_of(row), attempt_of(row))

    def attempts(self, refs: Sequence[Ref]) -> Mapping[Ref, tuple[Entry, Attempt]]:
        """See `QueueStore.attempts`."""
        found: dict[Ref, tuple[Entry, Attempt]] = {}
        for start in range(0, len(refs), 500):
            part = [(ref.task_id, ref.attempt) for ref in refs[start : start + 500]]
            for row in self._connection.execute(_BY_REFS, {"refs": part}):
                attempt = attempt_of(row)
                found[attempt.ref] = entry_of(row), attempt
        return found

    def last_attempts(self, task_ids: Sequence[str]) -> Mapping[str, int]:
        """See `QueueStore.last_attempts`."""
        if len(task_ids) == 1:
            last = self._connection.execute(_LAST_OF_ONE, {"task": task_ids[0]}).scalar()
            return {} if last is None else {task_ids[0]: last}
        found: dict[str, int] = {}
        for start in range(0, len(task_ids), 500):
            for task_id, last in self._connection.execute(_LAST, {"tasks": list(task_ids[start : start + 500])}):
                found[task_id] = last
        return found

    def add_attempts(self, new: Sequence[Attempt]) -> None:
        """See `QueueStore.add_attempts`."""
        if new:
            _INSERT.run(self._connection, [_values(attempt) for attempt in new])

    def save_attempts(self, changed: Sequence[Attempt]) -> None:
        """See `QueueStore.save_attempts`."""
        if not changed:
            return
        values = [
            {
                "key_task": attempt.ref.task_id,
                "key_attempt": attempt.ref.attempt,
                "phase": int(attempt.phase),
                "accept_millis": attempt.accept_millis,
                "end_millis": attempt.end_millis,
                "last_position": attempt.last_position,
            }
            for attempt in changed
        ]
        _UPDATE.run(self._connection, values)

    def open_attempts(self, journal_id: str | None = None) -> list[tuple[Entry, Attempt]]:
        """See `QueueStore.open_attempts`."""
        if journal_id is None:
            rows = self._connection.execute(_OPEN)
        else:
            rows = self._connection.execute(_OPEN_OF, {"journal": journal_id})
        return [(entry_of(row), attempt_of(row)) for row in rows]


def attempt_of(row: Row[Any]) -> Attempt:
    """The attempt in a row of `BOTH`."""
    """The attempt in a row whose columns are those of attempts behind a prefix."""
    return Attempt(
        ref=Ref(row.attempt_task_id, row.attempt_attempt),
        entry_id=row.attempt_entry_id,
        holder=Holder(row.attempt_agent_id, row.attempt_host, row.attempt_journal_id, row.attempt_boot_id),
        phase=AttemptPhase(row.attempt_phase),
        offer_millis=row.attempt_offer_millis,
        accept_millis=row.attempt_accept_millis,
        end_millis=row.attempt_end_millis,
        last_position=row.attempt_last_position,
    )


def _values(attempt: Attempt) -> dict[str, Any]:
    return {
        "task_id": attempt.ref.task_id,
        "attempt": attempt.ref.attempt,
        "entry_id": attempt.entry_id,
        "agent_id": attempt.holder.agent_id,
        "host": attempt.holder.host,
        "journal_id": attempt.holder.journal_id,
        "boot_id": attempt.holder.boot_id,
        "phase": int(attempt.phase),
        "offer_millis": attempt.offer_millis,
        "accept_millis": attempt.accept_millis,
        "end_millis": attempt.end_millis,
        "last_position": attempt.last_position,
    }
