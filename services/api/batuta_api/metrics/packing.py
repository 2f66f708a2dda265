"""How points lie on disk: column by column, each column as narrow as its numbers allow.

A chunk is `<version> <iterations> <times> <values>`. A column of whole numbers is either a progression (first, step) or
a first number followed by the distances from the least in 1, 2, 4 or 8 bytes each. Values are 8-byte floats, or 4-byte
ones when that loses nothing. Numbers are little-endian. A thousand points of an ordinary loop take 6 to 12 bytes each.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Sequence
from typing import Any

_VERSION = 1
_HEAD = struct.Struct("<BI")
_PROGRESSION = struct.Struct("<cqq")
_OFFSETS = struct.Struct("<cq")
_WIDTHS = ((1 << 8, "B"), (1 << 16, "H"), (1 << 32, "I"))
_SIZES = {"B": 1, "H": 2, "I": 4, "q": 8, "f": 4, "d": 8}


def pack(iterations: Sequence[int], times: Sequence[int], values: Sequence[float]) -> bytes:
    """The chunk of points; all three have the same length, at least 1."""
    return b"".join(
        (_HEAD.pack(_VERSION, len(values)), _pack_whole(iterations), _pack_whole(times), _pack_floats(values))
    )


def unpack(chunk: bytes) -> tuple[list[int], list[int], list[float]]:
    """Iterations, times and values of a chunk. Raises `ValueError` for a chunk that a later release wrote."""
    version, count = _HEAD.unpack_from(chunk)
    if version != _VERSION:
        raise ValueError(f"scalar chunk of version {version}: written by a later release")
    view = memoryview(chunk)[_HEAD.size :]
    iterations, view = _unpack_whole(view, count)
    times, view = _unpack_whole(view, count)
    return iterations, times, _unpack_floats(view, count)


def _pack_whole(numbers: Sequence[int]) -> bytes:
    first = numbers[0]
    step = numbers[1] - first if len(numbers) > 1 else 0
    if -(1 << 31) < step < (1 << 31) and _is_progression(numbers, first, step):
        return _PROGRESSION.pack(b"P", first, step)
    least = min(numbers)
    span = max(numbers) - least
    for limit, code in _WIDTHS:
        if span < limit:
            return _OFFSETS.pack(code.encode(), least) + _bytes(array(code, [number - least for number in numbers]))
    return _OFFSETS.pack(b"q", 0) + _bytes(array("q", numbers))


def _is_progression(numbers: Sequence[int], first: int, step: int) -> bool:
    count = len(numbers)
    if numbers[-1] != first + step * (count - 1):
        return False
    expected = [first] * count if step == 0 else list(range(first, first + step * count, step))
    return expected == list(numbers)


def _unpack_whole(view: memoryview, count: int) -> tuple[list[int], memoryview]:
    code = bytes(view[:1])
    if code == b"P":
        _, first, step = _PROGRESSION.unpack_from(view)
        rest = view[_PROGRESSION.size :]
        return ([first] * count if step == 0 else list(range(first, first + step * count, step))), rest
    _, least = _OFFSETS.unpack_from(view)
    letter = code.decode()
    end = _OFFSETS.size + count * _SIZES[letter]
    offsets: array[int] = _array(letter, view[_OFFSETS.size : end])
    return (offsets.tolist() if least == 0 else [least + offset for offset in offsets]), view[end:]


def _pack_floats(values: Sequence[float]) -> bytes:
    doubles = array("d", values)
    singles = array("f", doubles)
    if array("d", singles).tobytes() == doubles.tobytes():
        return b"f" + _bytes(singles)
    return b"d" + _bytes(doubles)


def _unpack_floats(view: memoryview, count: int) -> list[float]:
    letter = bytes(view[:1]).decode()
    floats: list[float] = _array(letter, view[1 : 1 + count * _SIZES[letter]]).tolist()
    return floats


def _bytes(numbers: array[int] | array[float]) -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _array(letter: str, data: memoryview) -> Any:
    numbers: array[Any] = array(letter)
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
