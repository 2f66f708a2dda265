"""The sending side of an AppendLog stream: messages by groups, as many as wait already."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from batuta_api.closing import Closing
from batuta_api.limits import Budget
from batuta_proto.logs import v1 as logs

_WAITING = 16
"""Messages read ahead of the database; each holds at most 1 MiB."""
_GROUP_BYTES = 1024 * 1024


class Inflow:
    """Reads ahead of whoever stores, a little, so that small messages share a transaction.

    What it holds comes out of a budget of all streams together. When that is spent it reads no further, and the
    transport has the sender wait.
    """

    def __init__(self, requests: AsyncIterator[logs.AppendLogRequest], closing: Closing, budget: Budget) -> None:
        self._budget = budget
        self._held = 0
        self._requests = requests
        self._closing = closing
        self._queue: asyncio.Queue[logs.AppendLogRequest] = asyncio.Queue(_WAITING)

    async def groups(self) -> AsyncIterator[list[logs.AppendLogRequest]]:
        """The messages, by groups of at least one. Ends with the stream; raises what ended it, or `ShuttingDown`."""
        pump = asyncio.create_task(self._pump())

        def stop() -> None:
            pump.cancel()

        try:
            with self._closing.telling(stop):
                self._closing.check()
                while group := await self._group(pump):
                    yield group
                    self._give(sum(len(request.data) for request in group))
                self._closing.check()
                if pump.done() and not pump.cancelled():
                    pump.result()
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
            self._give(self._held)

    async def _pump(self) -> None:
        async for request in self._requests:
            await self._budget.take(len(request.data))
            self._held += len(request.data)
            await self._queue.put(request)

    def _give(self, size: int) -> None:
        self._held -= size
        self._budget.give(size)

    async def _group(self, pump: asyncio.Task[None]) -> list[logs.AppendLogRequest]:
        first = await self._first(pump)
        if first is None:
            return []
        group, size = [first], len(first.data)
        while size < _GROUP_BYTES and not self._queue.empty():
            request = self._queue.get_nowait()
            group.append(request)
            size += len(request.data)
        return group

    async def _first(self, pump: asyncio.Task[None]) -> logs.AppendLogRequest | None:
        """The next message; None when the stream has ended and nothing is left of it."""
        if self._queue.empty():
            getting = asyncio.create_task(self._queue.get())
            try:
                await asyncio.wait({getting, pump}, return_when=asyncio.FIRST_COMPLETED)
                if getting.done():
                    return getting.result()
            finally:
                # Also when the call itself is cancelled: a task left waiting would be destroyed while pending.
                getting.cancel()
            await asyncio.gather(getting, return_exceptions=True)
        return None if self._queue.empty() else self._queue.get_nowait()
