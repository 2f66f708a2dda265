"""How large spools may grow, and who gives way first. The shim uses it too: nothing but `os` is imported here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

SPOOL_VARIABLE = "BATUTA_SPOOL_BYTES"
ALL_VARIABLE = "BATUTA_SPOOL_LIMIT_BYTES"
SMALLEST = 1024 * 1024
SCALARS_SHARE = 8
"""One part in so many of each limit is for scalars alone: the logs give way first."""
DISK_RESERVE = 64 * 1024 * 1024
"""Free bytes of the disk that logs leave to scalars and to everybody else; a quarter of a disk that is smaller."""
_OTHERS_EVERY = 2.0
"""Seconds between two looks at the other spools."""


class Limits(NamedTuple):
    """Bytes on disk: of one spool, and of all that lie side by side."""

    spool_bytes: int = 2 * 1024**3
    all_bytes: int = 16 * 1024**3


AGENT_LIMITS = Limits(8 * 1024**3, 64 * 1024**3)
"""For an agent's spools, unless its machine says otherwise."""


def limits(env: Mapping[str, str], defaults: Limits) -> Limits:
    """What the environment sets, else `defaults`. Raises ConfigError, which names the variable."""
    return Limits(_bytes(env, SPOOL_VARIABLE, defaults.spool_bytes), _bytes(env, ALL_VARIABLE, defaults.all_bytes))


def _bytes(env: Mapping[str, str], variable: str, default: int) -> int:
    given = env.get(variable)
    if not given:
        return default
    if not given.isdecimal() or int(given) < SMALLEST:
        from batuta_rpc.config import ConfigError

        raise ConfigError(f"{variable} is {given!r}: give a whole number of bytes, {SMALLEST} or more")
    return int(given)


def for_logs(limit_bytes: int) -> int:
    """The part of a limit that logs may take."""
    return limit_bytes - limit_bytes // SCALARS_SHARE


class Room:
    """Whether one spool may grow. `monotonic` gives seconds."""

    def __init__(
        self, spool: str | os.PathLike[str], limits: Limits, monotonic: Callable[[], float], *, of_agent: bool
    ) -> None:
        """`of_agent`: the spool lies in its attempt's folder, else beside other spools."""
        self._spool = os.fspath(spool)
        self._limits = limits
        self._monotonic = monotonic
        above, name = os.path.split(self._spool)
        self._root, self._inner = (os.path.dirname(above), name) if of_agent else (above, "")
        self._others = 0
        self._looked_at: float | None = None

    def for_scalars(self) -> bool:
        """Whether there is room below both limits."""
        return self._below(self._limits)

    def for_logs(self) -> bool:
        """Whether logs may grow: below the limits and on the disk, a part is kept for scalars."""
        return self._below(Limits(*map(for_logs, self._limits))) and _disk_has_room(self._spool)

    def _below(self, limits: Limits) -> bool:
        own = size_bytes(self._spool)
        return own < limits.spool_bytes and own + self._size_of_others() < limits.all_bytes

    def _size_of_others(self) -> int:
        now = self._monotonic()
        if self._looked_at is None or now - self._looked_at >= _OTHERS_EVERY:
            self._looked_at = now
            spools = (os.path.join(each, self._inner) if self._inner else each for each in _folders(self._root))
            self._others = sum(size_bytes(each) for each in spools if each != self._spool)
        return self._others


def size_bytes(spool: str | os.PathLike[str]) -> int:
    """What all files of a spool take, in bytes."""
    total = 0
    for folder in (os.fspath(spool), *_folders(spool)):
        with suppress(FileNotFoundError, NotADirectoryError):
            for entry in os.scandir(folder):
                with suppress(FileNotFoundError):
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def _folders(folder: str | os.PathLike[str]) -> Iterator[str]:
    with suppress(FileNotFoundError, NotADirectoryError):
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                yield entry.path


def _disk_has_room(folder: str) -> bool:
    """Whether the disk has more free than logs may take. True where that cannot be known, as on Windows."""
    look = getattr(os, "statvfs", None)
    if look is None:
        return True
    disk = look(folder)
    return bool(disk.f_bavail * disk.f_frsize > min(DISK_RESERVE, disk.f_blocks * disk.f_frsize // 4))
