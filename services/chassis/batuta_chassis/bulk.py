"""Many rows of one table: on PostgreSQL by one statement, on SQLite, where a statement costs little, by one each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, String, Table, and_, bindparam, insert, update

from batuta_chassis.prepared import Prepared

Values = Mapping[str, Any]
"""What goes into a row, as the driver takes it (see `Prepared`)."""


def _on_server(connection: Connection, many: Sequence[Values]) -> Any:
    """The driver's connection where one statement for many rows pays, else None."""
    if len(many) < 2 or connection.dialect.name != "postgresql":
        return None
    return cast("Any", connection.connection.dbapi_connection)


class InsertRows:
    """New rows; each has all columns of the table."""

    def __init__(self, table: Table) -> None:
        self._names = table.columns.keys()
        self._one = Prepared(insert(table), self._names)
        columns = ", ".join(f'"{name}"' for name in self._names)
        # Half of what INSERT of arrays costs there, and a fourth of one INSERT for each row.
        self._copy = f'COPY "{table.name}" ({columns}) FROM STDIN'

    def run(self, connection: Connection, many: Sequence[Values]) -> None:
        """Store them."""
        server = _on_server(connection, many)
        if server is None:
            self._one.run_all(connection, many)
            return
        with server.cursor() as cursor, cursor.copy(self._copy) as copy:
            for values in many:
                copy.write_row([values[name] for name in self._names])


class UpdateRows:
    """Rows that change."""

    def __init__(self, table: Table, keys: Mapping[str, str], columns: Sequence[str]) -> None:
        """`keys`: the columns by which a row is found, each under the name that its value has in `run`."""
        where = and_(*(table.c[column] == bindparam(name) for name, column in keys.items()))
        self._one = Prepared(update(table).where(where).values({name: bindparam(name) for name in columns}))
        self._names = [*keys, *columns]
        arrays = ", ".join(
            f"%s::{_kind(table, column)}[]" for column in (*keys.values(), *columns)
        )  # no lengths: a cast to one would cut what is too long
        news = ", ".join(f'"{name}"' for name in self._names)
        sets = ", ".join(f'"{name}" = news."{name}"' for name in columns)
        found = " AND ".join(f'old."{column}" = news."{name}"' for name, column in keys.items())
        self._all = f'UPDATE "{table.name}" AS old SET {sets} FROM unnest({arrays}) AS news ({news}) WHERE {found}'

    def run(self, connection: Connection, many: Sequence[Values]) -> None:
        """Change them; of a row that is named twice any may win."""
        server = _on_server(connection, many)
        if server is None:
            self._one.run_all(connection, many)
            return
        with server.cursor() as cursor:
            cursor.execute(self._all, [[values[name] for values in many] for name in self._names])


def _kind(table: Table, column: str) -> str:
    """PostgreSQL's name of a column's type."""
    kind = table.c[column].type
    return "text" if isinstance(kind, String) else str(kind.compile())
