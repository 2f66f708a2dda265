"""What the user's process prints, on its way from a pipe into the spool's `console.log`."""

from __future__ import annotations

import os

from batuta_courier.room import Limits, Room
from batuta_courier.writing import LogWriter, Wakener
from batuta_rpc.clock import Clock


class Console:
    """Appends to `console.log` while there is room, and wakes the courier.

    Never raises for a disk or a spool that is full: the process goes on, a part of the room stays for its scalars, what
    found no place is counted, and a note stands where it is missing.
    """

    def __init__(self, spool: str, limits: Limits, clock: Clock) -> None:
        """Raises `OSError` when `console.log` cannot be opened."""
        self._path = os.path.join(spool, "console.log")
        os.close(self._open(os.O_CREAT))
        self._wakener = Wakener(spool, clock)
        self._writer = LogWriter(
            self._path, self._wakener, Room(spool, limits, clock.monotonic, of_agent=True).for_logs
        )

    @property
    def dropped(self) -> int:
        """Bytes that found no room."""
        return self._writer.dropped

    def write(self, data: bytes) -> None:
        """Append, and wake the courier."""
        self._writer.write(data)

    def close(self) -> None:
        """Make everything durable, as far as the disk still works."""
        self._writer.close()
        try:
            file = self._open(0)
            try:
                os.fsync(file)
            finally:
                os.close(file)
        except OSError:
            return  # the record of the end is written all the same
        finally:
            self._wakener.wake()
            self._wakener.close()

    def _open(self, flags: int) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | flags, 0o600)
