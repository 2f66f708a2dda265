"""What this process knows: the run it works on, the clock, the server. One place, so that forks can be told."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batuta._run import Run
    from batuta_rpc.clock import Clock
    from batuta_rpc.ids import Ids

OFFLINE_VARIABLE = "BATUTA_OFFLINE_MODE"
lock = threading.RLock()
"""Held while a run begins or ends."""


class _Process:
    """The state of this process. Clock and ids are made when first asked for: importing them costs milliseconds."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self._clock: Clock | None = None
        self._ids: Ids | None = None
        self._warned: set[str] = set()

    @property
    def clock(self) -> Clock:
        """The clock of the machine."""
        if self._clock is None:
            from batuta_rpc.clock import SystemClock

            self._clock = SystemClock()
        return self._clock

    @property
    def ids(self) -> Ids:
        """Ids from the operating system."""
        if self._ids is None:
            from batuta_rpc.ids import SystemIds

            self._ids = SystemIds()
        return self._ids

    def warn_once(self, message: str) -> None:
        """One line on stderr, the first time."""
        if message not in self._warned:
            self._warned.add(message)
            say(message)


def say(message: str) -> None:
    """One line on stderr."""
    print(f"Batuta: {message}", file=sys.stderr, flush=True)


process = _Process()


def _after_fork_in_child() -> None:
    global lock
    lock = threading.RLock()  # another thread of the parent may have held the old one
    if process.run is not None:
        process.run.become_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
