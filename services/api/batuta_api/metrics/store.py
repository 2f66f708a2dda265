"""What is kept of scalars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from batuta_api.metrics.model import Column, Producer, Summary


@dataclass(frozen=True)
class Wanted:
    """Which series of a task; empty parts hold for all."""

    metric: str = ""
    variant: str = ""


@dataclass(frozen=True)
class Page:
    """Some points: columns by place in the order of storing, and the place to go on from."""

    columns: list[Column]
    position: int


class ScalarStore(Protocol):
    """The scalars of one transaction."""

    def committed(self, producer: Producer) -> int:
        """The last sequence of a producer that is stored; 0 for none."""
        ...

    def series_count(self, task_id: str) -> int:
        """How many series a task has had."""
        ...

    def append(self, producer: Producer, last_sequence: int, columns: Sequence[Column]) -> None:
        """Keep the columns of one batch, their summaries, and where the producer stands after it."""
        ...

    def summaries(self, task_id: str, after: tuple[str, str] | None = None, limit: int | None = None) -> list[Summary]:
        """The series of a task by metric and variant: those after one, at most `limit`; else all."""
        ...

    def read(self, task_id: str, wanted: Wanted, after: int, limit_points: int) -> Page:
        """The next points after a position: at least one chunk, and no more when `limit_points` are reached."""
        ...

    def drop(self, task_id: str, *, for_good: bool = False) -> None:
        """Delete a task's scalars. Positions go on counting, unless the task itself goes."""
        ...
