"""Text that sorts as values of hyper-parameters do: numbers by size, then texts."""

from __future__ import annotations

import math
import re
import struct

KEPT = 256
"""Characters of a value that count."""
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_SIGN = 1 << 63


def of_value(value: str) -> str:
    """The key of a value as it was written."""
    if len(value) <= KEPT and _NUMBER.fullmatch(value):
        number = float(value)
        if math.isfinite(number):
            return of_number(number)
    return "t" + value[:KEPT]


def of_number(number: float) -> str:
    """The key of a number: its bits, turned so that they sort."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", number + 0.0))  # -0.0 becomes 0.0
    return f"n{(bits ^ (2**64 - 1) if bits & _SIGN else bits | _SIGN):016x}"


LEAST = of_number(-math.inf)
GREATEST = of_number(math.inf)
