"""Statements of hot paths, compiled once and run on the driver's own cursor.

SQLAlchemy's execution of a small statement costs several times what SQLite needs for it, and a call runs five of them
between its caller and its commit. The text still comes from Core, in the dialect of the connection. Values go to the
driver and come from it as they are: types that convert (moments, JSON) are the caller's affair.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.sql.expression import ClauseElement


class Prepared:
    """One statement with bind parameters."""

    def __init__(self, statement: ClauseElement, columns: Collection[str] | None = None) -> None:
        """`columns`: for INSERT and UPDATE, those that get values."""
        self._statement = statement
        self._columns = None if columns is None else list(columns)
        self._compiled: dict[str, tuple[str, list[str] | None]] = {}

    def row(self, connection: Connection, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The first row of a query, in the order of its columns, or None."""
        cursor = self._execute(connection, values)
        try:
            row: tuple[Any, ...] | None = cursor.fetchone()
            return row
        finally:
            cursor.close()

    def rows(self, connection: Connection, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows of a query, in the order of its columns."""
        cursor = self._execute(connection, values)
        try:
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows
        finally:
            cursor.close()

    def run(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """Execute. Returns how many rows it touched."""
        cursor = self._execute(connection, values)
        try:
            return int(cursor.rowcount)
        finally:
            cursor.close()

    def run_all(self, connection: Connection, many: Sequence[Mapping[str, Any]]) -> None:
        """Execute once for each set of values."""
        if len(many) == 1:
            self._execute(connection, many[0]).close()
        elif many:
            text, names = self._text(connection.dialect)
            rows: Sequence[Any] = many
            if names is not None:
                pick: Any = itemgetter(*names)
                # Of one name a getter gives the bare value.
                rows = [pick(values) for values in many] if len(names) > 1 else [(pick(values),) for values in many]
            cursor: Any = connection.connection.cursor()
            try:
                cursor.executemany(text, rows)
            finally:
                cursor.close()

    def _execute(self, connection: Connection, values: Mapping[str, Any]) -> Any:
        text, names = self._text(connection.dialect)
        cursor = connection.connection.cursor()
        cursor.execute(text, values if names is None else [values[name] for name in names])
        return cursor

    def _text(self, dialect: Dialect) -> tuple[str, list[str] | None]:
        """The text, and the order of the values where the driver takes them by place; None where it takes names."""
        known = self._compiled.get(dialect.name)
        if known is None:
            compiled: Any = self._statement.compile(dialect=dialect, column_keys=self._columns)
            places = list(compiled.positiontup) if dialect.positional else None
            known = self._compiled[dialect.name] = (str(compiled), places)
        return known
