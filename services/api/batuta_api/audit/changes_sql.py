"""The trail of changes in SQL."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, insert, literal_column, select

from batuta_api.audit.changes import KEPT_AT_LEAST, Change, Sought
from batuta_api.audit.tables import changes
from batuta_api.schema import stored, values
from batuta_chassis.prepared import Prepared

_COLUMNS = [column.name for column in changes.c if column.name != "id"]
_KEEP = Prepared(insert(changes), _COLUMNS)
_NOW_MICROS = {
    "sqlite": "(CAST(strftime('%s', 'now') AS INTEGER) * 1000000)",
    "postgresql": "(CAST(extract(epoch FROM clock_timestamp()) AS BIGINT) * 1000000)",
}


class SqlChangeStore:
    """`ChangeStore` over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, change: Change) -> None:
        """Write one down."""
        row = {name: getattr(change, name) for name in _COLUMNS}
        _KEEP.run(self._connection, {**row, "time": stored(change.time)})

    def page(self, sought: Sought, before: int | None, limit: int) -> list[Change]:
        """Those sought with an id below `before`, newest first."""
        query = select(changes).order_by(changes.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(changes.c.id < before)
        if sought.subject:
            query = query.where(changes.c.subject == sought.subject)
        if sought.resource_id:
            query = query.where(changes.c.resource_id == sought.resource_id)
        if sought.method:
            full = changes.c.method == sought.method
            query = query.where(full | changes.c.method.endswith(f"/{sought.method}", autoescape=True))
        if sought.start is not None:
            query = query.where(changes.c.time >= sought.start)
        if sought.until is not None:
            query = query.where(changes.c.time < sought.until)
        return [Change(**values(row)) for row in self._connection.execute(query).mappings()]

    def purge(self, before: datetime, limit: int) -> int:
        """Drop some older than that, but none younger than `KEPT_AT_LEAST` by the database's own clock. How many."""
        kept = KEPT_AT_LEAST.days * 86_400_000_000
        really_old: ColumnElement[int] = literal_column(f"{_NOW_MICROS[self._connection.dialect.name]} - {kept}")
        old = select(changes.c.id).where(changes.c.time < before, changes.c.time < really_old).limit(limit)
        return self._connection.execute(delete(changes).where(changes.c.id.in_(old))).rowcount
