"""What was seen of a queue or an agent over time: points of numbers, in three tiers, each a ring of bounded length.

The finest tier keeps an hour in steps of ten seconds, the next one a day in minutes, the last one a month in steps of
ten minutes. Values only; no I/O.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Tier:
    """A ring of `slots` points, one for every `period` milliseconds."""

    period: int
    slots: int

    @property
    def span(self) -> int:
        """For how long a point is kept, in milliseconds."""
        return self.period * self.slots

    def begin(self, millis: int) -> int:
        """When the point begins that a moment belongs to."""
        return millis // self.period * self.period

    def slot(self, millis: int) -> int:
        """Where the ring has it."""
        return millis // self.period % self.slots


TIERS = (Tier(10_000, 360), Tier(60_000, 1_440), Tier(600_000, 4_320))
FINEST = TIERS[0]
PER_GPU = 5
"""Numbers of one GPU at the end of an agent's: utilization, memory used and in all, milliwatts, degrees."""
UNKNOWN = math.nan
_PER_OCTAVE = 8


@dataclass(frozen=True, slots=True)
class Point:
    """What was seen in one span of time. `means` are weighted by `samples`, `peaks` are the greatest; NaN is unknown.

    Of a queue: waiting, running, held; and behind them among the peaks the longest wait of those that began, in
    milliseconds. `waits` counts these by `bucket`. Of an agent: the host's numbers, then those of each GPU in `names`.
    """

    samples: int
    means: tuple[float, ...]
    peaks: tuple[float, ...]
    names: tuple[str, ...] = ()
    waits: Mapping[int, int] = field(default_factory=dict[int, int])

    def joined(self, later: Point) -> Point:
        """Both as one. Where the GPUs are others by now, only the later ones are told."""
        if self.host_count != later.host_count:
            return later  # it is of another release, which knows other numbers of a host
        if self.names != later.names:
            size = self.host_count
            both = self._of_host().joined(later._of_host())
            means, peaks = both.means + later.means[size:], both.peaks + later.peaks[size:]
            return replace(both, means=means, peaks=peaks, names=later.names)
        waits = dict(self.waits)
        for each, count in later.waits.items():
            waits[each] = waits.get(each, 0) + count
        return Point(
            self.samples + later.samples,
            _means(self.means, self.samples, later.means, later.samples),
            tuple(map(_greater, self.peaks, later.peaks)),
            later.names,
            waits,
        )

    @property
    def host_count(self) -> int:
        """How many numbers stand before those of the GPUs."""
        return len(self.means) - PER_GPU * len(self.names)

    def _of_host(self) -> Point:
        size = self.host_count
        return replace(self, means=self.means[:size], peaks=self.peaks[:size], names=())


def bucket(millis: int) -> int:
    """Which of the widening classes a wait belongs to; each is 9 % wide."""
    return 0 if millis < 1 else 1 + math.floor(math.log2(millis) * _PER_OCTAVE)


def median(waits: Mapping[int, int]) -> int | None:
    """The wait that half of them did not exceed, in milliseconds, as good as the classes are. None: there are none."""
    half, seen = (sum(waits.values()) + 1) // 2, 0
    for each in sorted(waits):
        seen += waits[each]
        if seen >= half:
            return 0 if each == 0 else round(2 ** ((each - 0.5) / _PER_OCTAVE))
    return None


def tier_of(start: int, now: int) -> int:
    """The finest tier that still has what began at `start`."""
    fitting = (number for number, tier in enumerate(TIERS) if now - start <= tier.span)
    return next(fitting, len(TIERS) - 1)


def thinned(points: Sequence[tuple[int, Point]], period: int, step: int) -> list[tuple[int, Point]]:
    """Points as points of `step` periods each, beginning at multiples of that."""
    if step <= 1:
        return list(points)
    found: dict[int, Point] = {}
    for millis, point in points:
        begin = millis // (period * step) * (period * step)
        found[begin] = found[begin].joined(point) if begin in found else point
    return list(found.items())


def _means(one: Sequence[float], weight: int, other: Sequence[float], more: int) -> tuple[float, ...]:
    if not weight or not more:
        return tuple(other if more else one)
    total = weight + more
    # NaN is the one number that differs from itself.
    return tuple(
        (a * weight + b * more) / total if a == a and b == b else a if a == a else b
        for a, b in zip(one, other, strict=True)
    )


def _greater(one: float, other: float) -> float:
    return max(one, other) if one == one and other == other else one if one == one else other
