"""What a service counts while it works: plain numbers in memory, read when somebody asks for `/metrics`.

Counting must cost next to nothing, so an instrument is a few numbers of one thread, usually the event loop; whoever
reads it from there sees them whole. Names and units follow Prometheus: `batuta_…_seconds`, `…_bytes`, `…_total`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from batuta_rpc.clock import Clock

OTHER = "(other)"
"""Stands for label values beyond the bound."""
_VALUES = 200
_CALLS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
WAITS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0, 86400.0)
"""Bounds for what may wait for hours, in seconds."""
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
"""Bounds for how many at once."""

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One number. `suffix` is what follows the family's name."""

    suffix: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Family:
    """Numbers of one name. `kind` is `counter`, `gauge` or `histogram`; a counter's name is without `_total`."""

    name: str
    kind: str
    sentence: str
    samples: Sequence[Sample]


class Meter(Protocol):
    """Something that has numbers to tell."""

    async def read(self) -> Iterable[Family]:
        """The numbers as they are now."""
        ...


class Counter:
    """Grows."""

    def __init__(self, name: str, sentence: str, *labels: str) -> None:
        """`labels` are names; their values come with each `add`."""
        self.name = name
        self._sentence = sentence
        self._labels = labels
        self._values: dict[Labels, float] = {} if labels else {(): 0.0}

    def add(self, amount: float = 1.0, *labels: str) -> None:
        """Count. Label values beyond some hundreds count as one, for a caller may invent any number of them."""
        values = self._values
        if labels not in values and len(values) >= _VALUES:
            labels = (OTHER,) * len(self._labels)
        values[labels] = values.get(labels, 0.0) + amount

    async def read(self) -> list[Family]:
        """See `Meter`."""
        samples = [Sample("_total", dict(zip(self._labels, key, strict=True)), n) for key, n in self._values.items()]
        return [Family(self.name, "counter", self._sentence, samples)]


class Cells:
    """One distribution: how many values up to each bound, and their sum."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = _CALLS) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def note(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def samples(self, labels: Mapping[str, str]) -> list[Sample]:
        """As Prometheus wants them: each bucket holds those below it too."""
        found: list[Sample] = []
        below = 0
        for bound, count in zip((*self._bounds, float("inf")), self.counts, strict=True):
            below += count
            found.append(Sample("_bucket", {**labels, "le": "+Inf" if bound == float("inf") else f"{bound:g}"}, below))
        return [*found, Sample("_count", labels, below), Sample("_sum", labels, self.total)]


class Histogram:
    """One distribution without labels."""

    def __init__(self, name: str, sentence: str, bounds: Sequence[float] = _CALLS) -> None:
        self.name = name
        self._sentence = sentence
        self._cells = Cells(bounds)

    def note(self, value: float) -> None:
        """Count a value."""
        self._cells.note(value)

    async def read(self) -> list[Family]:
        """See `Meter`."""
        return [Family(self.name, "histogram", self._sentence, self._cells.samples({}))]


def gauge(name: str, sentence: str, value: float) -> Family:
    """One number that may go up and down."""
    return Family(name, "gauge", sentence, [Sample("", {}, value)])


def gauges(name: str, sentence: str, labels: Sequence[str], values: Mapping[Labels, float]) -> Family:
    """Several, by the values of their labels."""
    return Family(
        name,
        "gauge",
        sentence,
        [Sample("", dict(zip(labels, key, strict=True)), value) for key, value in values.items()],
    )


class Looked:
    """Numbers that cost a look into the database: looked up when asked, and not more often than once a while."""

    def __init__(self, look: Callable[[], Awaitable[Sequence[Family]]], clock: Clock, kept: float = 5.0) -> None:
        """`kept` is for how many seconds an answer is good."""
        self._look = look
        self._clock = clock
        self._kept = kept
        self._until = 0.0
        self._last: Sequence[Family] = ()

    async def read(self) -> Sequence[Family]:
        """See `Meter`."""
        if self._clock.monotonic() >= self._until:
            self._last = await self._look()
            self._until = self._clock.monotonic() + self._kept
        return self._last
