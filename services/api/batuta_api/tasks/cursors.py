"""The place in the queue service's event log, in SQL."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from batuta_api.tasks.store import Cursor
from batuta_api.tasks.tables import event_cursor

_NAME = "attempts"


class SqlCursorStore:
    """`CursorStore` over one connection: one row, moved by compare-and-set."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self) -> Cursor | None:
        """The place, or None before the first event."""
        row = self._connection.execute(select(event_cursor).where(event_cursor.c.name == _NAME)).one_or_none()
        return None if row is None else Cursor(row.log_epoch, row.position)

    def advance(self, known: Cursor | None, to: Cursor | None) -> bool:
        """Move from `known` to `to`. False, and no change, when another process moved it."""
        if known is None:
            return self._begin(to)
        here = (
            event_cursor.c.name == _NAME,
            event_cursor.c.log_epoch == known.log_epoch,
            event_cursor.c.position == known.position,
        )
        if to is None:
            return self._connection.execute(delete(event_cursor).where(*here)).rowcount == 1
        moved = update(event_cursor).where(*here).values(log_epoch=to.log_epoch, position=to.position)
        return self._connection.execute(moved).rowcount == 1

    def _begin(self, to: Cursor | None) -> bool:
        if self.get() is not None:
            return False
        if to is not None:
            row = {"name": _NAME, "log_epoch": to.log_epoch, "position": to.position}
            self._connection.execute(insert(event_cursor), row)
        return True
