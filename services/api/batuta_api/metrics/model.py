"""What scalars are: series of points by (metric, variant), and what is known of a series without reading it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

NAN = float("nan")
MONITOR_PREFIX = ":monitor:"
"""Metrics of the machine rather than of the script: their iterations are seconds, not steps."""


@dataclass(frozen=True)
class Producer:
    """One process that reports for one attempt."""

    task_id: str
    attempt: int
    name: str


@dataclass(frozen=True)
class Column:
    """Points of one series, column by column; the three columns have the same length."""

    metric: str
    variant: str
    iterations: Sequence[int]
    times: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True)
class Summary:
    """What is known of one series. Least and greatest are NaN while all its values are."""

    metric: str
    variant: str
    count: int = 0
    last_value: float = NAN
    last_iteration: int = 0
    min_value: float = NAN
    min_iteration: int = 0
    max_value: float = NAN
    max_iteration: int = 0

    def plus(self, column: Column) -> Summary:
        """The summary with the points of a column added. Of equal iterations the later point is the newest."""
        if not column.values:
            return self
        newest = _newest(column.iterations)
        if self.count and column.iterations[newest] < self.last_iteration:
            last = (self.last_value, self.last_iteration)
        else:
            last = (column.values[newest], column.iterations[newest])
        least, greatest = _extremes(column, (self.min_value, self.min_iteration), (self.max_value, self.max_iteration))
        return Summary(self.metric, self.variant, self.count + len(column.values), *last, *least, *greatest)


def greatest_iteration(columns: Sequence[Column]) -> int | None:
    """The greatest iteration among the script's own metrics; None when there is none."""
    own = [max(column.iterations) for column in columns if column.iterations and not _monitors(column)]
    return max(own, default=None)


def _monitors(column: Column) -> bool:
    return column.metric.startswith(MONITOR_PREFIX)


def _newest(iterations: Sequence[int]) -> int:
    last = len(iterations) - 1
    top = max(iterations)
    while iterations[last] != top:
        last -= 1
    return last


def _extremes(
    column: Column, least: tuple[float, int], greatest: tuple[float, int]
) -> tuple[tuple[float, int], tuple[float, int]]:
    values, iterations = column.values, column.iterations
    if math.isnan(sum(values)):  # a NaN among them, or inf - inf: the rare way
        kept = [pair for pair in zip(values, iterations, strict=True) if not math.isnan(pair[0])]
        if not kept:
            return least, greatest
        values, iterations = [value for value, _ in kept], [iteration for _, iteration in kept]
    low, high = min(values), max(values)
    if not low >= least[0]:  # also when nothing is known yet: NaN compares with nothing
        least = (low, iterations[values.index(low)])
    if not high <= greatest[0]:
        greatest = (high, iterations[values.index(high)])
    return least, greatest
