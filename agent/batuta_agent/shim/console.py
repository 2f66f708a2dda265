"""What the user's process prints, on its way from a pipe into the spool's `console.log`."""

from __future__ import annotations

import os

_NOTE = "\nbatuta: {0} bytes of output are missing here ({1})\n"


class Console:
    """Appends to `console.log` and tells the courier by a byte into the FIFO `wake`.

    Never raises for a disk that is full or a log that has reached its limit: the process goes on, what found no place
    is counted, and a note stands where it is missing.
    """

    def __init__(self, spool: str, limit: int) -> None:
        """Raises `OSError` when `console.log` cannot be opened. A missing FIFO is no trouble."""
        path = os.path.join(spool, "console.log")
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size
        self._limit = limit
        self._missing = 0
        self._why = ""
        self.dropped = 0
        try:
            # Opened for both ways, it opens while nobody reads, and stays open when the reader is replaced.
            self._wake = os.open(os.path.join(spool, "wake"), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            self._wake = -1

    def write(self, data: bytes) -> None:
        """Append, and wake the courier."""
        room = max(0, self._limit - self._size)
        if room:
            self._append(data[:room])
        if len(data) > room:
            self._drop(len(data) - room, f"the console is limited to {self._limit} bytes")
        self.wake()

    def wake(self) -> None:
        """Tell the courier that something is there."""
        if self._wake >= 0:
            try:
                os.write(self._wake, b"w")
            except OSError:
                return  # full: it has not read the last ones yet

    def close(self) -> None:
        """Make everything durable."""
        if self._missing:
            self._note()
        try:
            os.fsync(self._file)
        except OSError as error:
            self._why = str(error)
        self.wake()
        os.close(self._file)
        if self._wake >= 0:
            os.close(self._wake)

    def _append(self, data: bytes) -> None:
        if self._missing:
            self._note()
        rest = memoryview(data)
        try:
            while rest:
                written = os.write(self._file, rest)
                self._size += written
                rest = rest[written:]
        except OSError as error:
            self._drop(len(rest), error.strerror or str(error))

    def _drop(self, count: int, why: str) -> None:
        self._missing += count
        self.dropped += count
        self._why = why

    def _note(self) -> None:
        try:
            self._size += os.write(self._file, _NOTE.format(self._missing, self._why).encode())
            self._missing = 0
        except OSError:
            return  # still no place; the count goes on
