"""Work that goes on while a service serves: started together, restarted when it breaks, ended and awaited."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from batuta_chassis.service import Hook
from batuta_rpc.backoff import Backoff
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids

_log = logging.getLogger(__name__)
_LIVED = 60.0
"""Seconds after which a run counts as healthy, and its next failure as a first one."""


class Background:
    """The background tasks of one service."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, works: Sequence[Hook]) -> None:
        """Start each in a task of its own."""
        for work in works:
            self._tasks.append(asyncio.create_task(self._keep(work), name=f"background:{_name(work)}"))

    async def stop(self) -> None:
        """Cancel all and wait until they have ended."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, work: Hook) -> None:
        backoff = Backoff(self._ids)
        while True:
            started = self._clock.monotonic()
            try:
                await work()
                return
            except Exception:
                _log.exception("background work %s failed and will be started again", _name(work))
            if self._clock.monotonic() - started > _LIVED:
                backoff.reset()
            await self._clock.sleep(backoff.next())


def _name(work: Hook) -> str:
    return getattr(work, "__qualname__", None) or repr(work)
