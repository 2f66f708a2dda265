"""Core statements of the hot path, compiled once and run on the driver's own cursor.

SQLAlchemy's execution costs three times what SQLite needs for such a statement; a submit runs five of them between the
caller and its commit. The text still comes from Core, in the dialect of the connection. Values go to the driver as they
are: a statement with a JSON column gets text for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.sql.expression import ClauseElement


class Prepared:
    """One statement."""

    def __init__(self, statement: ClauseElement, columns: Sequence[str] = ()) -> None:
        """`columns`: for an INSERT, those that get values."""
        self._statement = statement
        self._columns = list(columns) or None
        self._compiled: dict[str, tuple[str, list[str]]] = {}

    def one(self, connection: Connection, values: dict[str, Any]) -> tuple[Any, ...] | None:
        """Run with one set of values; the first row, if there is one."""
        text, names = self._text(connection.dialect)
        cursor = _cursor(connection)
        try:
            cursor.execute(text, [values[name] for name in names])
            row: tuple[Any, ...] | None = cursor.fetchone()
            return row
        finally:
            cursor.close()

    def run(self, connection: Connection, many: Sequence[dict[str, Any]]) -> None:
        """Run once for each set of values."""
        text, names = self._text(connection.dialect)
        cursor = _cursor(connection)
        try:
            if len(many) == 1:
                cursor.execute(text, [many[0][name] for name in names])
            else:
                pick = itemgetter(*names) if len(names) > 1 else None
                cursor.executemany(text, [pick(each) if pick else (each[names[0]],) for each in many])
        finally:
            cursor.close()

    def _text(self, dialect: Dialect) -> tuple[str, list[str]]:
        known = self._compiled.get(dialect.name)
        if known is None:
            compiled: Any = self._statement.compile(dialect=dialect, column_keys=self._columns)
            known = self._compiled[dialect.name] = (str(compiled), list(compiled.positiontup))
        return known


def _cursor(connection: Connection) -> Any:
    return connection.connection.cursor()
