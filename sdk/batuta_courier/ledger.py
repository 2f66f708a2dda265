"""What the server has stored of a spool, shared by the shipping threads and kept in ack.json."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from batuta_courier import layout, tails
from batuta_rpc.clock import Clock

_EVERY = 0.1
"""Seconds between two writes of ack.json while data flows."""


class Ledger:
    """Acknowledged ends, by producer. Thread-safe."""

    def __init__(self, spool_dir: Path, clock: Clock) -> None:
        self._spool_dir = spool_dir
        self._clock = clock
        self._lock = threading.Condition()
        self._acks = layout.read_acks(spool_dir)
        self._acks.done, self._acks.error = False, None
        self._untold: list[str] = []
        self._heard = False
        self._trouble = ""
        self._written_at = -_EVERY
        self._dirty = False
        self._down = False
        self._up_since = clock.monotonic()
        self._changed_at = clock.monotonic()
        self.on_recovery: list[Callable[[], None]] = []
        """Called, from any thread, when the server answers again after it did not."""

    def log(self, producer: str) -> int:
        """Bytes of this log that are stored."""
        with self._lock:
            return self._acks.log(producer)

    def scalars(self, producer: str) -> int:
        """Last sequence of this producer that is stored."""
        with self._lock:
            return self._acks.scalars(producer)

    def put(self, producer: str, kind: str, end: int) -> bool:
        """Record how far the server has stored a stream; it may have more or less than was believed.

        Returns whether that is news.
        """
        with self._lock:
            entry = self._acks.producers.setdefault(producer, {})
            if entry.get(kind, 0) == end:
                return False
            entry[kind] = end
            self._dirty = True
            self._changed_at = self._clock.monotonic()
            self._lock.notify_all()
            self._write_if_due()
            return True

    def drop(self, producer: str, why: str) -> None:
        """The server takes no more of this stream, for good. `why` is a sentence for the user."""
        with self._lock:
            self._acks.dropped[producer] = why
            self._untold.append(why)
            self._write()

    def dropped(self, producer: str) -> bool:
        """Whether the server takes no more of this stream."""
        with self._lock:
            return producer in self._acks.dropped

    def take_untold(self) -> list[str]:
        """What was dropped since the last call, in words."""
        with self._lock:
            untold, self._untold = self._untold, []
            return untold

    def answered(self) -> None:
        """The server has answered a call."""
        with self._lock:
            self._heard = True
            if not self._down:
                return
            self._down = False
            self._up_since = self._clock.monotonic()
        for each in self.on_recovery:
            each()

    def failed(self, error: Exception | None) -> None:
        """A call has failed in a way that passes; None: without saying why."""
        with self._lock:
            self._down = True
            self._trouble = "" if error is None else str(error)

    def silence(self) -> str | None:
        """What the last call failed with while the server does not answer, empty if not known; None: it answers."""
        with self._lock:
            return None if self._heard and not self._down else self._trouble

    def up_since(self) -> float | None:
        """Since when (monotonic seconds) the server has answered; None while it does not."""
        with self._lock:
            return None if self._down else self._up_since

    def idle_seconds(self) -> float:
        """For how long nothing has been stored."""
        with self._lock:
            return self._clock.monotonic() - self._changed_at

    def stored(self, ends: list[tails.Tail]) -> bool:
        """Whether everything up to `ends` is stored."""
        with self._lock:
            return tails.stored(self._acks, ends)

    def wait(self, seconds: float) -> None:
        """Wait until something is stored, or so long."""
        with self._lock:
            self._lock.wait(seconds)

    def flush(self) -> None:
        """Write ack.json if something has changed since."""
        with self._lock:
            if self._dirty:
                self._write()

    def finish(self, *, done: bool, error: str | None) -> None:
        """Write the courier's last word: all is stored, or why it never will be; neither when another may go on."""
        with self._lock:
            self._acks.done, self._acks.error = done, error
            if error is not None and not self._acks.refused_millis:
                self._acks.refused_millis = self._clock.unix_millis()
            self._write()

    def _write_if_due(self) -> None:
        if self._clock.monotonic() - self._written_at >= _EVERY:
            self._write()

    def _write(self) -> None:
        self._written_at = self._clock.monotonic()
        self._dirty = False
        with contextlib.suppress(OSError):  # a full disk: the server knows where it stands
            layout.write_acks(self._spool_dir, self._acks)
