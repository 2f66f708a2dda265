"""A row of numbers as a row of little bars, and what people want to know of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Series:
    """One metric over time. None: it is not known then. `top` is the height of a full bar; None: the greatest."""

    name: str
    means: Sequence[float | None]
    peaks: Sequence[float | None]
    show: Callable[[float], str]
    top: float | None = None

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """Name, last value, mean and greatest, and the bars."""
        known = [each for each in self.means if each is not None]
        peaks = [each for each in self.peaks if each is not None]
        last = next((each for each in reversed(self.means) if each is not None), None)
        return (
            self.name,
            "" if last is None else self.show(last),
            self.show(sum(known) / len(known)) if known else "",
            self.show(max(peaks)) if peaks else "",
            bars(self.means, self.top),
        )


def bars(values: Sequence[float | None], top: float | None = None) -> str:
    """A bar for each value, a space where there is none."""
    high = max((each for each in values if each is not None), default=0.0) if top is None else top
    return "".join(" " if each is None else _bar(each, high) for each in values).rstrip()


def _bar(value: float, high: float) -> str:
    if high <= 0 or value <= 0:
        return _BARS[0]
    return _BARS[min(len(_BARS) - 1, int(value / high * len(_BARS)))]
