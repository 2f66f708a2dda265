"""The rows of the speed table, one module each, by their numbers."""

from __future__ import annotations

from collections.abc import Callable

from bench.plan import Plan
from bench.report import Line
from bench.rows import row01, row02, row03, row04, row05, row06, row07, row08, row13, row19

ROWS: dict[int, Callable[[Plan], list[Line]]] = {
    1: row01.run,
    2: row02.run,
    3: row03.run,
    4: row04.run,
    5: row05.run,
    6: row06.run,
    7: row07.run,
    8: row08.run,
    13: row13.run,
    19: row19.run,
}
"""What measures each row."""
