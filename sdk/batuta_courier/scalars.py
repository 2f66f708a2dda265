"""Scalar records on disk: written by the training process without system calls, read by the courier.

A segment `scalars.<n>` is a 64-byte header and a fixed number of 32-byte records, little-endian:

    header   8s magic `BATUTASC`, I version (1), I records in a segment, Q sequence of the first record
    record   B mark (1: complete), 3 bytes 0, I series number, q iteration, q time (Unix ms), d value

Sequences count from 1 over all segments of a producer. The writer takes a lock, fills the record, sets the mark, and
only then moves on: so the marked records are always a prefix without holes, whoever is killed or interrupted wherever.
The file is mapped shared: what was written is in the kernel's hands at once and survives a kill -9 of the writer.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import mmap
import os
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MAGIC = b"BATUTASC"
VERSION = 1
HEADER = struct.Struct("<8sIIQ")
HEADER_BYTES = 64
RECORD_BYTES = 32
RECORDS = 32_768
"""Records of one segment: 1 MiB."""
NAME_CHARS = 512
"""The longest metric or variant that the server takes."""
SERIES = 100_000
"""How many series one process may open."""
BODY = struct.Struct("<Iqqd")
BODY_AT = 4
_NONE = -(2**63)
_RETRY_AFTER = 4_096
"""Dropped records between two looks whether there is room again."""


def segment_name(index: int) -> str:
    """File name of the segment with that index."""
    return f"scalars.{index}"


class ScalarWriter:
    """Appends the scalars of one process, from any number of threads, signal handlers included.

    `make_folder` is called before the first file is made. `room` says whether the spool may grow by another segment;
    while it may not, records are counted in `dropped`; `notify` is told when that begins and when it ends.
    """

    def __init__(
        self,
        folder: Path,
        unix_nanos: Callable[[], int],
        *,
        make_folder: Callable[[], None] = lambda: None,
        room: Callable[[], bool] = lambda: True,
        notify: Callable[[str], object] = str,
        records: int = RECORDS,
    ) -> None:
        self.dropped = 0
        self.offset = 0
        """Added to every iteration: where a continued task goes on."""
        self._folder = folder
        self._nanos = unix_nanos  # not milliseconds: a function of the interpreter itself, 50 ns quicker
        self._make_folder = make_folder
        self._room = room
        self._notify = notify
        self._records = records
        self._lock = threading.RLock()
        self._inside = False
        self._deferred: list[tuple[int, int, int, float]] = []
        # Two look-ups by text cost half of one by a pair that has to be made first.
        self._numbers: dict[str, dict[str, int]] = {}
        self._named = 0
        self._next_number = itertools.count(1)
        self._view: Any = None
        self._place = self._end = HEADER_BYTES + records * RECORD_BYTES
        self._missed = 0
        self._unnamed = False
        self._greatest = _NONE
        self._pack = BODY.pack_into

    def report(self, title: str, series: str, value: float, iteration: int) -> None:
        """Append one point; about a microsecond. Raises TypeError for a value or an iteration that is no number."""
        try:
            number = self._numbers[title][series]
        except (KeyError, TypeError):
            number = self._number(title, series)
            if not number:
                return
        millis = self._nanos() // 1_000_000
        with self._lock:
            if self._inside:  # a signal handler or a finaliser has interrupted this very code in this very thread
                self._deferred.append((number, _iteration(iteration) + self.offset, millis, _value(value)))
                return
            self._inside = True
            try:
                place, view = self._place, self._view
                # The mark of the next record is set when this thread was interrupted between mark and move.
                if place == self._end or view[place]:
                    place = self._next_place()
                    view = self._view
                if place:
                    shifted = iteration + self.offset
                    self._pack(view, place + BODY_AT, number, shifted, millis, value)
                    if shifted > self._greatest:
                        self._greatest = shifted
                    view[place] = 1
                    self._place = place + RECORD_BYTES
            except (struct.error, TypeError, OverflowError):
                self._put(number, _iteration(iteration) + self.offset, millis, _value(value))
            finally:
                self._inside = False
        if self._deferred:
            self._put_deferred()

    def greatest_iteration(self) -> int | None:
        """The greatest iteration written so far, offset included; None before the first record."""
        greatest = self._greatest
        return None if greatest == _NONE else int(greatest)

    def close(self) -> None:
        """Write what a signal handler left behind, and say how much was dropped. The writer can be used on."""
        if self._deferred:
            self._put_deferred()
        with self._lock:
            self._say_missed()

    def _put(self, number: int, iteration: int, millis: int, value: float) -> None:
        place = self._place
        if place == self._end or self._view[place]:
            place = self._next_place()
        if place:
            self._pack(self._view, place + BODY_AT, number, iteration, millis, value)
            self._greatest = max(self._greatest, iteration)
            self._view[place] = 1
            self._place = place + RECORD_BYTES

    def _put_deferred(self) -> None:
        with self._lock:
            if self._inside:
                return
            self._inside = True
            try:
                while self._deferred:
                    self._put(*self._deferred.pop(0))
            finally:
                self._inside = False

    def _next_place(self) -> int:
        """Where the next record goes, in a new segment where this one is full; 0 when there is no room."""
        while self._place != self._end and self._view[self._place]:
            self._place += RECORD_BYTES
        if self._place != self._end:
            return self._place
        if self._missed % _RETRY_AFTER == 0 and self._open_segment():
            self._say_missed()
            return self._place
        if self._missed == 0:
            self._notify("the spool or its disk is full: scalars are dropped until there is room again")
        self._missed += 1
        self.dropped += 1
        return 0

    def _say_missed(self) -> None:
        missed, self._missed = self._missed, 0
        if missed:
            self._notify(f"{missed} scalars were dropped because the spool or its disk was full")

    def _open_segment(self) -> bool:
        view = self._view
        if view is not None and not view[self._end - RECORD_BYTES]:
            self._place = HEADER_BYTES  # interrupted in here, behind the step that counts
            return True
        index = 0 if view is None else (HEADER.unpack_from(view)[3] - 1) // self._records + 1
        if not self._room():
            return False
        try:
            self._make_folder()
            view = _map_new(self._folder / segment_name(index), self._end)
        except OSError:
            return False
        HEADER.pack_into(view, 0, MAGIC, VERSION, self._records, index * self._records + 1)
        self._view = view  # the step that counts: before it, the next call makes this file anew
        self._place = HEADER_BYTES
        return True

    def _number(self, title: str, series: str) -> int:
        """Give a series its number, on disk before its first record is. 0, and the record is dropped: no room there."""
        metric, variant = _name(title), _name(series)
        with self._lock:
            known = self._numbers.get(metric, {}).get(variant)
            if known is not None:
                return known
            if self._named >= SERIES:
                raise ValueError(f"a run may report at most {SERIES} series; {metric!r}/{variant!r} would be one more")
            # One step, and before it is written: a number is never given twice, whatever interrupts this.
            number = next(self._next_number)
            if not self._write_name(f"\n{json.dumps([number, metric, variant])}\n".encode("ascii")):
                self.dropped += 1
                if not self._unnamed:
                    self._unnamed = True
                    self._notify("the spool's disk is full: new series are dropped until there is room again")
                return 0
            self._numbers.setdefault(metric, {})[variant] = number
            self._named += 1
            return number

    def _write_name(self, line: bytes) -> bool:
        """Whether it is there as a whole. Half a line harms nothing: the next one begins with a line feed."""
        try:
            self._make_folder()
            with open(self._folder / "series", "ab", buffering=0) as file:
                return file.write(line) == len(line)
        except OSError:
            return False


def _map_new(path: Path, size: int) -> mmap.mmap:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        # Blocks are taken now: a disk that fills up later would otherwise kill the script with SIGBUS.
        allocate = getattr(os, "posix_fallocate", None)
        if allocate is None:
            os.write(fd, bytes(size))
        else:
            allocate(fd, 0, size)
        return mmap.mmap(fd, size)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    finally:
        os.close(fd)


def _name(given: object) -> str:
    text = given if isinstance(given, str) else str(given)
    return text.encode("utf-8", "replace").decode("utf-8")[:NAME_CHARS] or "unnamed"


def _iteration(given: Any) -> int:
    if given is None:
        return 0
    try:
        if isinstance(given, (str, bytes)):
            raise ValueError
        number = int(given)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"report_scalar(iteration=…) takes a whole number, not {given!r}") from None
    return max(-(2**62), min(2**62, number))


def _value(given: Any) -> float:
    if isinstance(given, (str, bytes)):
        raise TypeError(f"report_scalar(value=…) takes a number, not the text {given!r:.80}")
    try:
        return float(given)
    except OverflowError:
        return float("inf") if given > 0 else float("-inf")
    except Exception:  # tensors of several elements raise what they like
        raise TypeError(f"report_scalar(value=…) takes a number, not {type(given).__name__} {given!r:.80}") from None
