"""What a row says, and the table in which all of them stand."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass

COLUMNS = ("row", "what", "measured", "goal", "", "ratio")


@dataclass(frozen=True)
class Line:
    """One figure. `goal` is the most that `value` (in `unit`) may be; None is for information only."""

    row: int
    what: str
    value: float
    unit: str
    goal: float | None = None
    beside: str = ""
    ratio: float | None = None
    cpu: str = ""

    @property
    def verdict(self) -> str:
        """`stands`, `misses`, or nothing where there is no goal."""
        if self.goal is None:
            return ""
        return "stands" if self.value <= self.goal else "misses"

    def cells(self) -> tuple[str, ...]:
        """What the table shows."""
        goal = "" if self.goal is None else f"≤ {self.goal:g} {self.unit}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}×"
        measured = f"{number(self.value)} {self.unit}"
        return (str(self.row), self.what, measured, goal, self.verdict, ratio)

    def notes(self) -> str:
        """What stands under a line of the table; empty for nothing."""
        parts = [f"beside {self.beside}" if self.beside else "", f"CPU {self.cpu}" if self.cpu else ""]
        return "; ".join(part for part in parts if part)


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def millis(nanoseconds: float) -> str:
    """A time in milliseconds."""
    return f"{number(nanoseconds / 1e6)} ms"


def micros(nanoseconds: float) -> str:
    """A time in microseconds."""
    return f"{number(nanoseconds / 1e3)} µs"


def machine() -> str:
    """What the figures were taken on."""
    cores = os.cpu_count()
    load = ", ".join(f"{each:.2f}" for each in os.getloadavg())
    return f"Python {platform.python_version()}, {platform.machine()}, {cores} cores, load before the run {load}"


def table(lines: list[Line]) -> str:
    """Aligned columns under a head; what a figure stands beside is indented below it."""
    rows = [COLUMNS, *(line.cells() for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    text: list[str] = []
    for row, note in zip(rows, ["", *(line.notes() for line in lines)], strict=True):
        text.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if note:
            text.append(f"       {note}")
    return "\n".join(text)


def as_json(lines: list[Line], on: str) -> str:
    """The same for programs."""
    rows = [asdict(line) | {"verdict": line.verdict} for line in lines]
    return json.dumps({"machine": on, "rows": rows}, ensure_ascii=False, indent=2)
