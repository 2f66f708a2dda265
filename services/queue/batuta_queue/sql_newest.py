"""The newest event of entries, found from the rows that each event changes anyway: submits pay no index for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, literal_column, select

from batuta_queue.model import Attempt, Entry, EntryState, Event
from batuta_queue.newest import newest, position
from batuta_queue.sql_attempts import attempt_of
from batuta_queue.sql_entries import ENTRY_COLUMNS, entry_of
from batuta_queue.sql_events import event_of
from batuta_queue.tables import attempts, entries, events

_PART = 500
_ENDED: ColumnElement[int] = literal_column(str(int(EntryState.DONE)))
_BOTH: Select[Any] = select(
    *ENTRY_COLUMNS, *(column.label(f"attempt_{column.name}") for column in attempts.columns)
).outerjoin(
    attempts,
    and_(
        attempts.c.task_id == entries.c.task_id,
        attempts.c.attempt == entries.c.attempt,
        attempts.c.entry_id == entries.c.id,
    ),
)
_OF = _BOTH.where(entries.c.id.in_(bindparam("ids", expanding=True)))
_LIVE = (
    _BOTH.where(entries.c.state < _ENDED, entries.c.id > bindparam("after"))
    .order_by(entries.c.id)
    .limit(bindparam("count"))
)
_EVENTS = select(events).where(events.c.position.in_(bindparam("positions", expanding=True)))


class NewestRows:
    """The part of the store that says what the log said last."""

    _connection: Connection

    def newest_events(self, entry_ids: Sequence[str]) -> Mapping[str, Event]:
        """See `QueueStore.newest_events`."""
        found: dict[str, Event] = {}
        for start in range(0, len(entry_ids), _PART):
            rows = self._connection.execute(_OF, {"ids": list(entry_ids[start : start + _PART])})
            found.update((event.entry_id, event) for event in self._newest(rows))
        return found

    def live_events(self, after_id: str, limit: int) -> list[Event]:
        """See `QueueStore.live_events`."""
        return self._newest(self._connection.execute(_LIVE, {"after": after_id, "count": limit}))

    def _newest(self, rows: Iterable[Row[Any]]) -> list[Event]:
        pairs: list[tuple[Entry, Attempt | None]] = [
            (entry_of(row), None if row.attempt_entry_id is None else attempt_of(row)) for row in rows
        ]
        places = [position(*pair) for pair in pairs]
        kept: dict[int, Event] = {}
        for start in range(0, len(places), _PART):
            found = self._connection.execute(_EVENTS, {"positions": places[start : start + _PART]})
            kept.update((event.position, event) for event in map(event_of, found))
        return [newest(*pair, kept) for pair in pairs]
