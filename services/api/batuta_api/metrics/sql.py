"""Scalars in SQL."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields as fields_of
from typing import Any

from sqlalchemy import Connection, Executable, RowMapping, bindparam, delete, insert, select, tuple_, update

from batuta_api.metrics.model import NAN, Column, Producer, Summary
from batuta_api.metrics.packing import pack, unpack
from batuta_api.metrics.store import Page, Wanted
from batuta_api.metrics.tables import scalar_chunks, scalar_producers, scalar_series, scalar_tasks

_PRODUCER = (
    scalar_producers.c.task_id == bindparam("task"),
    scalar_producers.c.attempt == bindparam("number"),
    scalar_producers.c.producer == bindparam("name"),
)
_COMMITTED = select(scalar_producers.c.committed_sequence).where(*_PRODUCER)
_MOVE_PRODUCER = update(scalar_producers).where(*_PRODUCER).values(committed_sequence=bindparam("end"))
_HEAD = select(scalar_tasks).where(scalar_tasks.c.task_id == bindparam("task"))
_MOVE_HEAD = (
    update(scalar_tasks)
    .where(scalar_tasks.c.task_id == bindparam("task"))
    .values(last_position=bindparam("last"), last_series=bindparam("highest"))
)
_SERIES = (
    scalar_series.c.task_id == bindparam("task"),
    scalar_series.c.metric == bindparam("title"),
    scalar_series.c.variant == bindparam("line"),
)
_ONE_SERIES = select(scalar_series).where(*_SERIES)
_MOVE_SERIES = update(scalar_series).where(
    scalar_series.c.task_id == bindparam("task"), scalar_series.c.series == bindparam("number")
)
_SUMMARY = tuple(field.name for field in fields_of(Summary))
_NUMBERS = _SUMMARY[2:]
_VALUES = ("last_value", "min_value", "max_value")
_PAGE = 512
"""Chunks fetched at once."""


class SqlScalarStore:
    """`ScalarStore` over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def committed(self, producer: Producer) -> int:
        """The last sequence of a producer that is stored; 0 for none."""
        return self._committed(producer) or 0

    def _committed(self, producer: Producer) -> int | None:
        last: int | None = self._connection.execute(_COMMITTED, _key(producer)).scalar_one_or_none()
        return last

    def series_count(self, task_id: str) -> int:
        """How many series a task has had."""
        head = self._connection.execute(_HEAD, {"task": task_id}).one_or_none()
        return 0 if head is None else int(head.last_series)

    def append(self, producer: Producer, last_sequence: int, columns: Sequence[Column]) -> None:
        """Keep the columns of one batch, their summaries, and where the producer stands after it."""
        head = self._connection.execute(_HEAD, {"task": producer.task_id}).one_or_none()
        position, highest = (0, 0) if head is None else (head.last_position, head.last_series)
        chunks: list[dict[str, Any]] = []
        for column in columns:
            if not column.values:
                continue
            series, highest = self._add_to_series(producer.task_id, column, highest)
            position += 1
            chunks.append(
                {
                    "task_id": producer.task_id,
                    "position": position,
                    "attempt": producer.attempt,
                    "series": series,
                    "count": len(column.values),
                    "data": pack(column.iterations, column.times, column.values),
                }
            )
        if chunks:
            self._connection.execute(insert(scalar_chunks), chunks)
        self._move_head(producer.task_id, head is None, position, highest)
        self._move_producer(producer, last_sequence)

    def _add_to_series(self, task_id: str, column: Column, highest: int) -> tuple[int, int]:
        """Bring the summary up to date. Gives the number of the series, and the highest number of the task."""
        key = {"task": task_id, "title": column.metric, "line": column.variant}
        row = self._connection.execute(_ONE_SERIES, key).mappings().one_or_none()
        before = Summary(column.metric, column.variant) if row is None else _summary(row)
        numbers = _numbers(before.plus(column))
        if row is not None:
            self._connection.execute(_MOVE_SERIES, {"task": task_id, "number": row["series"], **numbers})
            return row["series"], highest
        name = {"task_id": task_id, "metric": column.metric, "variant": column.variant}
        self._connection.execute(insert(scalar_series), {**name, "series": highest + 1, **numbers})
        return highest + 1, highest + 1

    def _move_head(self, task_id: str, first: bool, position: int, highest: int) -> None:
        if first:
            row = {"task_id": task_id, "last_position": position, "last_series": highest}
            self._connection.execute(insert(scalar_tasks), row)
        else:
            self._connection.execute(_MOVE_HEAD, {"task": task_id, "last": position, "highest": highest})

    def _move_producer(self, producer: Producer, last_sequence: int) -> None:
        if self._committed(producer) is None:
            row = {"task_id": producer.task_id, "attempt": producer.attempt, "producer": producer.name}
            self._connection.execute(insert(scalar_producers), {**row, "committed_sequence": last_sequence})
        else:
            self._connection.execute(_MOVE_PRODUCER, {**_key(producer), "end": last_sequence})

    def summaries(self, task_id: str, after: tuple[str, str] | None = None, limit: int | None = None) -> list[Summary]:
        """The series of a task by metric and variant: those after one, at most `limit`; else all."""
        order = (scalar_series.c.metric, scalar_series.c.variant)
        query = select(scalar_series).where(scalar_series.c.task_id == task_id).order_by(*order).limit(limit)
        if after is not None:
            query = query.where(tuple_(*order) > after)
        return [_summary(row) for row in self._connection.execute(query).mappings()]

    def read(self, task_id: str, wanted: Wanted, after: int, limit_points: int) -> Page:
        """The next points after a position."""
        names = self._names(task_id, wanted)
        columns: list[Column] = []
        points, position = 0, after
        rows = self._connection.execute(_chunks(task_id, wanted, list(names), after))
        for row in rows:
            metric, variant = names[row.series]
            columns.append(Column(metric, variant, *unpack(row.data)))
            points, position = points + row.points, row.position
            if points >= limit_points:
                break
        rows.close()
        return Page(columns, position)

    def _names(self, task_id: str, wanted: Wanted) -> dict[int, tuple[str, str]]:
        """Metric and variant of the series that are wanted, by their numbers."""
        series = scalar_series.c
        query = select(series.series, series.metric, series.variant).where(series.task_id == task_id)
        if wanted.metric:
            query = query.where(series.metric == wanted.metric)
        if wanted.variant:
            query = query.where(series.variant == wanted.variant)
        return {number: (metric, variant) for number, metric, variant in self._connection.execute(query)}

    def drop(self, task_id: str, *, for_good: bool = False) -> None:
        """Delete a task's scalars; its place too when the task itself goes."""
        for table in (scalar_chunks, scalar_series, scalar_producers, *([scalar_tasks] if for_good else [])):
            self._connection.execute(delete(table).where(table.c.task_id == task_id))


def _chunks(task_id: str, wanted: Wanted, numbers: Sequence[int], after: int) -> Executable:
    """The next chunks. A few series are found by an index of their own, past the chunks of all others."""
    chunk = scalar_chunks.c
    query = (
        select(chunk.position, chunk.series, chunk["count"].label("points"), chunk.data)
        .where(chunk.task_id == task_id, chunk.position > after)
        .order_by(chunk.position)
        .limit(_PAGE)
    )
    return query.where(chunk.series.in_(numbers)) if wanted != Wanted() else query


def _key(producer: Producer) -> dict[str, Any]:
    return {"task": producer.task_id, "number": producer.attempt, "name": producer.name}


def _numbers(summary: Summary) -> dict[str, Any]:
    numbers = {name: getattr(summary, name) for name in _NUMBERS}
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in numbers.items()}


def _summary(row: RowMapping) -> Summary:
    fields = {name: row[name] for name in _SUMMARY}
    for name in _VALUES:
        if fields[name] is None:
            fields[name] = NAN
    return Summary(**fields)
