"""Whether the queue service can be reached, as the stream of its events shows."""

from __future__ import annotations

import asyncio

from batuta_rpc.clock import Clock, within


class Link:
    """Up while the stream of events is open. Those who wait to deliver try again the moment it is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._up = asyncio.Event()

    @property
    def is_up(self) -> bool:
        """Whether the stream is open."""
        return self._up.is_set()

    def set(self, up: bool) -> None:
        """Say how it stands."""
        if up:
            self._up.set()
        else:
            self._up.clear()

    async def wait(self, seconds: float) -> bool:
        """Wait until it is up, at most so long. False: the time ran out."""
        try:
            await within(self._clock, seconds, self._up.wait())
        except TimeoutError:
            return False
        return True
