"""Disk that is kept for changes of state, for the time when everything else has filled the disk."""

from __future__ import annotations

import logging
import os
from pathlib import Path

_SHARE = 8
"""On a small disk the reserve is this part of it at most."""
_log = logging.getLogger(__name__)


class Reserve:
    """A file without meaning beside a database. Given up, its room takes what must still be stored.

    It is taken again as soon as the disk has twice its size free: with less, it would have to be given up at once.
    """

    def __init__(self, path: Path, size: int) -> None:
        """`size` is in bytes; 0 keeps nothing."""
        self._path = path
        disk = os.statvfs(path.parent)
        self._size = min(size, disk.f_blocks * disk.f_frsize // _SHARE)
        self._held = self._is_there()
        if not self.take():
            _log.warning("the disk of %s is nearly full: logs and scalars are refused until there is room", path.parent)

    def take(self) -> bool:
        """Whether the reserve is there; made now if there is room for it."""
        if self._held or not self._size:
            return True
        disk = os.statvfs(self._path.parent)
        if disk.f_bavail * disk.f_frsize < 2 * self._size:
            return False
        try:
            self._make()
        except OSError:
            self._path.unlink(missing_ok=True)
            return False
        self._held = True
        return True

    def give_up(self) -> bool:
        """Leave its room to others. False: that has been done before."""
        if not self._held or not self._size:
            return False
        self._held = False
        self._path.unlink(missing_ok=True)
        _log.warning("the disk of %s is full: its reserve is given up for changes of state", self._path.parent)
        return True

    def _is_there(self) -> bool:
        try:
            return self._path.stat().st_blocks * 512 >= self._size
        except OSError:
            return False

    def _make(self) -> None:
        with open(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600), "wb", buffering=0) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, self._size)
            else:  # macOS
                file.write(bytes(self._size))
