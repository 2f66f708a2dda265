"""What one process of a run writes: its scalars, its texts, and the run's console. Never touches the network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from batuta_courier import layout
from batuta_courier.scalars import RECORDS, ScalarWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from batuta_rpc.clock import Clock

_LOOK_AGAIN_BYTES = 512 * 1024
_LOOK_AGAIN_WHEN_FULL = 64 * 1024
SCALARS_SHARE = 8
"""One part in so many of a spool's limit is for scalars alone: the logs give way first."""
DISK_RESERVE = 64 * 1024 * 1024
"""Free bytes of the disk that logs leave to scalars and to everybody else; a quarter of a disk that is smaller."""
_FULL = "the spool or its disk is full"


class Wakener:
    """Drops a byte into the courier's FIFO, at most once in `GAP` seconds: the courier looks again by itself anyway."""

    GAP = 0.005

    def __init__(self, spool_dir: Path, clock: Clock) -> None:
        self._path = spool_dir / "wake"
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

    def __init__(self, path: Path, wakener: Wakener, room: Callable[[], bool]) -> None:
        self._path = path
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


class ProducerSpool:
    """This process's part of a spool. A forked child makes one of its own; nothing is on disk before an event."""

    def __init__(
        self,
        spool_dir: Path,
        clock: Clock,
        nonce: str,
        *,
        limit_bytes: int = layout.DEFAULT_LIMIT_BYTES,
        records: int = RECORDS,
        notify: Callable[[str], object] = str,
    ) -> None:
        """`nonce` tells this process from an earlier one with the same pid; `records` is the size of a segment."""
        self.name = f"{os.getpid()}-{nonce}"
        self.spool_dir = spool_dir
        self._limit_bytes = limit_bytes
        self._wakener = Wakener(spool_dir, clock)
        folder = spool_dir / self.name
        self._folder = folder
        self.scalars = ScalarWriter(
            folder, clock.unix_nanos, make_folder=self._make_folder, room=self.has_room, notify=notify, records=records
        )
        self.console = LogWriter(spool_dir / "console.log", self._wakener, self.has_room_for_logs)
        self._text = LogWriter(folder / "text.log", self._wakener, self.has_room_for_logs)

    def text(self, data: bytes) -> None:
        """Append to this process's text log."""
        try:
            self._make_folder()
        except OSError as error:
            self._text.lose(len(data), error)
            return
        self._text.write(data)

    def has_room(self) -> bool:
        """Whether the spool is below its limit."""
        return layout.size_bytes(self.spool_dir) < self._limit_bytes

    def has_room_for_logs(self) -> bool:
        """Whether logs may grow: below the limit and on the disk, a part is kept for scalars."""
        kept = self._limit_bytes // SCALARS_SHARE
        return layout.size_bytes(self.spool_dir) < self._limit_bytes - kept and _disk_has_room(self.spool_dir)

    def wake(self) -> None:
        """Wake the courier for what has been written."""
        self._wakener.wake()

    def close(self) -> None:
        """Write what is held back and let go of the files; anything written later opens them again."""
        self.scalars.close()
        self.console.close()
        self._text.close()
        self._wakener.close()

    def _make_folder(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)


def _disk_has_room(folder: Path) -> bool:
    """Whether the disk has more free than logs may take. True where that cannot be known, as on Windows."""
    look = getattr(os, "statvfs", None)
    if look is None:
        return True
    disk = look(folder)
    return bool(disk.f_bavail * disk.f_frsize > min(DISK_RESERVE, disk.f_blocks * disk.f_frsize // 4))
