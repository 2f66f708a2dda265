"""When a call that failed may be made again."""

from __future__ import annotations

from batuta_rpc.backoff import LONGEST_ASKED, Backoff
from batuta_rpc.clock import Clock
from batuta_rpc.errors import RpcError
from batuta_rpc.ids import Ids


class Retry:
    """The waits of one kind of call: what the server asks for, and on top of it windows that double, with jitter."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._backoff = Backoff(ids)
        self._at = 0.0
        self._earliest = 0.0

    def failed(self, error: Exception | None = None) -> float:
        """The call has failed. Returns the seconds until the next try."""
        asked = error.retry_delay if isinstance(error, RpcError) else None
        now = self._clock.monotonic()
        self._earliest = now + min(asked or 0.0, LONGEST_ASKED)
        self._at = now + self._backoff.next(asked)
        return self._at - now

    def succeeded(self) -> None:
        """The call has got something done."""
        self._backoff.reset()
        self._at = self._earliest = 0.0

    def hurry(self) -> None:
        """Another call got through: try at once, or as soon as the server wanted this one again."""
        self._at = min(self._at, self._earliest)

    def seconds(self) -> float:
        """How long to wait still; 0 when the call may be made."""
        return max(0.0, self._at - self._clock.monotonic())
