"""The end of the process, as long streams must hear of it: they end at once, so that their callers go elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from batuta_api import topics
from batuta_chassis.hub import Hub
from batuta_rpc.errors import ShuttingDown


class Closing:
    """Whether the process is going down."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._begun = False
        self._told: dict[int, Callable[[], None]] = {}
        self._number = 0

    async def begin(self) -> None:
        """Say so, and wake everybody who waits for `topics.CLOSING` or asked to be told."""
        self._begun = True
        self._hub.wake(topics.CLOSING)
        for tell in list(self._told.values()):
            tell()

    @contextmanager
    def telling(self, tell: Callable[[], None]) -> Generator[None]:
        """Have `tell` called when it begins, as long as the block runs."""
        self._number += 1
        number = self._number
        self._told[number] = tell
        try:
            yield
        finally:
            del self._told[number]

    def check(self) -> None:
        """Raise `ShuttingDown` once it has begun."""
        if self._begun:
            raise ShuttingDown("this process is going down; connect again", retry_delay=0.5)
