"""Scalars in memory, for tests."""

from __future__ import annotations

from collections.abc import Sequence

from batuta_api.metrics.model import Column, Producer, Summary
from batuta_api.metrics.store import Page, Wanted


class MemoryScalarStore:
    """`ScalarStore` in dictionaries."""

    def __init__(self) -> None:
        self._chunks: dict[str, list[tuple[int, Column]]] = {}
        self._last: dict[str, int] = {}
        self._summaries: dict[tuple[str, str, str], Summary] = {}
        self._committed: dict[Producer, int] = {}

    def committed(self, producer: Producer) -> int:
        """The last sequence of a producer that is stored; 0 for none."""
        return self._committed.get(producer, 0)

    def series_count(self, task_id: str) -> int:
        """How many series a task has had."""
        return sum(1 for key in self._summaries if key[0] == task_id)

    def append(self, producer: Producer, last_sequence: int, columns: Sequence[Column]) -> None:
        """Keep the columns of one batch, their summaries, and where the producer stands after it."""
        task_id = producer.task_id
        for column in columns:
            if not column.values:
                continue
            position = self._last[task_id] = self._last.get(task_id, 0) + 1
            self._chunks.setdefault(task_id, []).append((position, column))
            key = (task_id, column.metric, column.variant)
            self._summaries[key] = self._summaries.get(key, Summary(column.metric, column.variant)).plus(column)
        self._committed[producer] = last_sequence

    def summaries(self, task_id: str, after: tuple[str, str] | None = None, limit: int | None = None) -> list[Summary]:
        """The series of a task by metric and variant: those after one, at most `limit`; else all."""
        keys = [key for key in sorted(self._summaries) if key[0] == task_id and (after is None or key[1:] > after)]
        return [self._summaries[key] for key in keys[:limit]]

    def read(self, task_id: str, wanted: Wanted, after: int, limit_points: int) -> Page:
        """The next points after a position."""
        columns: list[Column] = []
        position = after
        for place, column in self._chunks.get(task_id, []):
            fits = wanted.metric in ("", column.metric) and wanted.variant in ("", column.variant)
            if place > after and fits and sum(len(each.values) for each in columns) < limit_points:
                columns.append(column)
                position = place
        return Page(columns, position)

    def drop(self, task_id: str, *, for_good: bool = False) -> None:
        """Delete a task's scalars."""
        self._chunks.pop(task_id, None)
        self._summaries = {key: value for key, value in self._summaries.items() if key[0] != task_id}
        self._committed = {key: last for key, last in self._committed.items() if key.task_id != task_id}
