"""In which steps a process is stopped."""

from __future__ import annotations

import signal


class Stopping:
    """A process on its way out: SIGINT, after half of the grace SIGTERM, at the end SIGKILL."""

    def __init__(self, cause: str, grace: float, now: float) -> None:
        self.cause = cause
        self.end = now + grace
        self._half = now + grace / 2
        self._sent = 0
        self.killed_at = 0.0
        """When the first SIGKILL was sent; 0: not yet."""

    def next_at(self) -> float:
        """When the next signal is due; SIGKILL comes again every tenth of a second."""
        return (0.0, self._half, self.end, 0.0)[self._sent] if self._sent < 3 else self.end

    def due(self, now: float) -> int:
        """The signal to send now; 0 for none."""
        if now >= self.end:
            self._sent = 3
            self.killed_at = self.killed_at or now
            self.end = now + 0.1
            return int(signal.SIGKILL)
        if self._sent < 2 and now >= self._half:
            self._sent = 2
            return int(signal.SIGTERM)
        if self._sent == 0:
            self._sent = 1
            return int(signal.SIGINT)
        return 0

    def hurry(self, cause: str, grace: float, now: float) -> None:
        """A second order to stop: the earlier end counts."""
        if self._sent < 3 and now + grace < self.end:
            self.end = now + grace
            self._half = min(self._half, now + grace / 2)
