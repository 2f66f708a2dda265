"""Appending to a spool's logs, and waking its courier: in a script, and in the shim that copies a script's console."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from batuta_rpc.clock import Clock

_LOOK_AGAIN_BYTES = 512 * 1024
_LOOK_AGAIN_WHEN_FULL = 64 * 1024
_FULL = "the spool or its disk is full"


class Wakener:
    """Drops a byte into the courier's FIFO, at most once in `GAP` seconds: the courier looks again by itself anyway."""

    GAP = 0.005

    def __init__(self, spool_dir: str | os.PathLike[str], clock: Clock) -> None:
        self._path = os.path.join(spool_dir, "wake")
        self._monotonic = clock.monotonic
        self._last = -1.0
        self._fd = -1

    def wake(self) -> None:
        """Wake the courier if there is one. Never blocks, never fails."""
        now = self._monotonic()
        if now - self._last < self.GAP:
            return
        self._last = now
        try:
            if self._fd < 0:  # fails while no courier listens
                self._fd = os.open(self._path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
            os.write(self._fd, b"w")
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def close(self) -> None:
        """Let go of the FIFO."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class LogWriter:
    """Appends bytes to one log of the spool, while there is room. Whole writes keep their order, forks included."""

    def __init__(self, path: str | os.PathLike[str], wakener: Wakener, room: Callable[[], bool]) -> None:
        self._path = os.fspath(path)
        self._wakener = wakener
        self._room = room
        self._fd = -1
        self._until_look = 0
        self._full = False
        self._missing = 0
        self._why = ""
        self.dropped = 0
        """Bytes that found no room."""

    def write(self, data: bytes) -> None:
        """Append. What finds no room is counted, and the log says so where the gap is. Never raises OSError."""
        rest = memoryview(data)
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._until_look -= len(data)
            if self._until_look <= 0:
                self._look()
            if self._full:
                self._drop(len(data), _FULL)
                return
            self._note()
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            self.lose(len(rest), error)
        self._wakener.wake()

    def lose(self, count: int, error: OSError) -> None:
        """Count bytes that could not be written: the next ones that can say so before themselves."""
        self._drop(count, error.strerror or str(error))

    def _look(self) -> None:
        was_full, self._full = self._full, not self._room()
        self._until_look = _LOOK_AGAIN_WHEN_FULL if self._full else _LOOK_AGAIN_BYTES
        if self._full and not was_full:
            os.write(self._fd, b"\nbatuta: the spool is full, output is dropped from here\n")

    def _drop(self, count: int, why: str) -> None:
        self._missing += count
        self.dropped += count
        self._why = why

    def _note(self) -> None:
        """Say how much is missing at this place, if anything is. Raises OSError: still no place, the count goes on."""
        if self._missing:
            os.write(self._fd, f"\nbatuta: {self._missing} bytes of output are missing here ({self._why})\n".encode())
            self._missing = 0

    def close(self) -> None:
        """Say what is missing at the end, where there is place for it, and let go of the file."""
        fd = self._fd
        if fd < 0:
            return
        try:
            self._note()
        except OSError:
            self._why = _FULL  # the count is kept for a later write
        self._fd = -1
        os.close(fd)
