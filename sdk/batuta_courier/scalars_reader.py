"""The other end of `scalars`: what the courier reads while the script may still be writing, or is dead."""

from __future__ import annotations

import json
import os
from array import array
from dataclasses import dataclass, field
from pathlib import Path

from batuta_courier.scalars import HEADER, HEADER_BYTES, MAGIC, RECORD_BYTES, VERSION, segment_name


@dataclass
class Column:
    """Points of one series in the order in which they were reported; times in Unix milliseconds."""

    metric: str
    variant: str
    iterations: list[int] = field(default_factory=list[int])
    times: list[int] = field(default_factory=list[int])
    values: list[float] = field(default_factory=list[float])


@dataclass(frozen=True)
class Batch:
    """Consecutive records of one producer: sequences `first` to `last`, both included, by series."""

    first: int
    last: int
    columns: list[Column]


class SpoolDamaged(Exception):
    """A file of the spool is not what its format says; the message names it."""


class ScalarReader:
    """Reads the marked records of one producer's folder. Keeps no state but what it has learnt of the series."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[int, tuple[str, str]] = {}
        self._segment = -1
        self.records = 0
        """Records of one segment; 0 until there is one."""
        self._fd = -1

    def read(self, after: int, limit: int) -> Batch | None:
        """The records behind sequence `after`, at most `limit`, of one segment; None when there are none yet.

        Raises SpoolDamaged.
        """
        if self.records == 0 and not self._learn_size():
            return None
        index, skip = divmod(after, self.records)
        if not self._open(index):
            return None
        count = min(limit, self.records - skip)
        data = os.pread(self._fd, count * RECORD_BYTES, HEADER_BYTES + skip * RECORD_BYTES)
        marks = data[::RECORD_BYTES]
        count = len(marks) - len(marks.lstrip(b"\x01"))
        if count == 0:
            return None
        # Read again now that the marks have been seen: on weakly ordered processors a record may be in sight a
        # moment after its mark, and never more than a moment.
        data = os.pread(self._fd, count * RECORD_BYTES, HEADER_BYTES + skip * RECORD_BYTES)
        return Batch(after + 1, after + count, self._columns(data))

    def start(self) -> int:
        """Sequence before the first record that is still on disk. Raises SpoolDamaged."""
        if self.records == 0 and not self._learn_size():
            return 0
        return min(_segments(self._folder), default=0) * self.records

    def end(self) -> int:
        """Sequence of the last marked record; 0 for none. Raises SpoolDamaged."""
        if self.records == 0 and not self._learn_size():
            return 0
        index = max(_segments(self._folder), default=-1)
        if index < 0:
            return 0
        if not self._open(index):
            return index * self.records  # just being made: the one before it is full
        low, high = 0, self.records  # the marked records are a prefix: halve until its end
        while low < high:
            middle = (low + high) // 2
            mark = os.pread(self._fd, 1, HEADER_BYTES + middle * RECORD_BYTES)
            low, high = (middle + 1, high) if mark == b"\x01" else (low, middle)
        return index * self.records + low

    def forget(self, stored: int) -> None:
        """Delete the segments whose records the server has all stored, the newest excepted."""
        if self.records == 0:
            return
        present = _segments(self._folder)
        for index in present:
            if (index + 1) * self.records <= stored and index < max(present):
                (self._folder / segment_name(index)).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the open segment."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._segment = -1, -1

    def _learn_size(self) -> bool:
        index = min(_segments(self._folder), default=-1)
        return index >= 0 and self._open(index)

    def _open(self, index: int) -> bool:
        if index == self._segment:
            return True
        try:
            fd = os.open(self._folder / segment_name(index), os.O_RDONLY)
        except FileNotFoundError:
            return False
        header = os.pread(fd, HEADER_BYTES, 0)
        magic, version, records, first = HEADER.unpack_from(header.ljust(HEADER_BYTES, b"\0"))
        if first == 0:  # just being made: this field is written last
            os.close(fd)
            return False
        if magic != MAGIC or version != VERSION or first != index * records + 1:
            os.close(fd)
            raise SpoolDamaged(f"{self._folder / segment_name(index)} is not a scalar segment of version {VERSION}")
        self.close()
        self._fd, self._segment, self.records = fd, index, records
        return True

    def _columns(self, data: bytes) -> list[Column]:
        words, values = array("q"), array("d")
        words.frombytes(data)
        values.frombytes(data)
        columns: dict[int, Column] = {}
        for head, iteration, millis, value in zip(words[0::4], words[1::4], words[2::4], values[3::4]):
            column = columns.get(head)
            if column is None:
                column = columns[head] = Column(*self._name((head >> 32) & 0xFFFFFFFF))
            column.iterations.append(iteration)
            column.times.append(millis)
            column.values.append(value)
        return _merged(list(columns.values()))

    def _name(self, number: int) -> tuple[str, str]:
        if number not in self._names:
            self._names.update(_read_series(self._folder / "series"))
        try:
            return self._names[number]
        except KeyError:
            raise SpoolDamaged(f"{self._folder / 'series'} does not name series {number}") from None


def _merged(columns: list[Column]) -> list[Column]:
    """Join columns of one name: a signal handler may have opened the same series twice."""
    by_name: dict[tuple[str, str], Column] = {}
    for column in columns:
        first = by_name.setdefault((column.metric, column.variant), column)
        if first is not column:
            first.iterations += column.iterations
            first.times += column.times
            first.values += column.values
    return list(by_name.values())


def _read_series(path: Path) -> dict[int, tuple[str, str]]:
    names: dict[int, tuple[str, str]] = {}
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            number, metric, variant = json.loads(line)
        except ValueError:
            continue  # a line that its writer could not finish: no record refers to it
        names[int(number)] = (str(metric), str(variant))
    return names


def _segments(folder: Path) -> list[int]:
    prefix = segment_name(0)[:-1]
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    indexes = (name[len(prefix) :] for name in names if name.startswith(prefix))
    return sorted(int(index) for index in indexes if index.isdigit())
