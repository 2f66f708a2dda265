"""The courier of a local run, seen from the script: started, started again if it dies, asked how far it is."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from batuta_courier import launch, layout
from batuta_courier.lock import Locked, hold
from batuta_courier.tails import Tail, stored

if TYPE_CHECKING:
    from batuta_rpc.clock import Clock

_STARTS = 6
_POLL = 0.005


class CourierKeeper:
    """Keeps one courier alive for a spool. `say` tells the user what she should know."""

    def __init__(self, spool_dir: Path, clock: Clock, say: Callable[[str], None]) -> None:
        self._spool_dir = spool_dir
        self._clock = clock
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self._left_alone = False

    def start(self) -> None:
        """Start the courier and a thread that waits for its death. Raises OSError."""
        self._start()
        threading.Thread(target=self._watch, name="batuta courier", daemon=True).start()

    def ensure(self) -> None:
        """At the end of the run: somebody must be there to bring the rest home."""
        self._left_alone = True
        try:
            # Asked by its lock: a Popen that another thread waits for does not know that its process has died.
            with hold(self._spool_dir / "courier.lock"):
                pass
        except Locked:
            return
        self._start()

    def reached(self, ends: list[Tail], seconds: float) -> bool:
        """Wait, bounded, until the server has everything up to `ends`."""
        until = self._clock.monotonic() + seconds
        layout.wake(self._spool_dir)
        while True:
            acks = layout.read_acks(self._spool_dir)
            if stored(acks, ends):
                return True
            if acks.error is not None or self._clock.monotonic() >= until:
                return False
            self._clock.sleep_blocking(_POLL)

    def finished(self, seconds: float) -> str | None:
        """Wait, bounded, until the courier has ended the run. Returns None, or what is the matter."""
        until = self._clock.monotonic() + seconds
        while self._spool_dir.exists():
            acks = layout.read_acks(self._spool_dir)
            if acks.done or acks.error is not None:
                return acks.error
            if self._clock.monotonic() >= until:
                return "the server does not take the rest of this run's data yet; the courier goes on trying"
            self._clock.sleep_blocking(_POLL)
        return None

    def _start(self) -> None:
        self._starts += 1
        self._process = launch.start(self._spool_dir)

    def _watch(self) -> None:
        while self._process is not None:
            code = self._process.wait()
            error = layout.read_acks(self._spool_dir).error
            if self._left_alone or code == 0:
                return
            if error is not None:
                self._say(f"the server takes no more data of this run: {error}")
                return
            if self._starts >= _STARTS:
                self._say(
                    f"the courier keeps ending; see {self._spool_dir / 'courier.log'}. Data stays in that folder."
                )
                return
            self._clock.sleep_blocking(0.2 * self._starts)
            if not self._left_alone:
                self._start()
