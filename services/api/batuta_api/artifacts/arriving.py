"""The messages of a client stream, until it ends or the process does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, TypeVar

from batuta_api.closing import Closing
from batuta_rpc.clock import Clock, within
from batuta_rpc.errors import ProtocolViolation

T = TypeVar("T")
SILENCE = 300.0
"""Seconds: a stream on which nothing comes for so long gives its place to others."""


async def arriving(requests: AsyncIterator[T], closing: Closing, clock: Clock) -> AsyncGenerator[T]:
    """The messages. Raises what ended the stream, `ShuttingDown`, or `ProtocolViolation` when nothing comes."""
    ended = asyncio.Event()
    stopping = asyncio.create_task(ended.wait())
    coming: asyncio.Task[Any] | None = None
    try:
        with closing.telling(ended.set):
            while True:
                closing.check()
                coming = asyncio.create_task(_next(requests))
                try:
                    await within(clock, SILENCE, asyncio.wait({coming, stopping}, return_when=asyncio.FIRST_COMPLETED))
                except TimeoutError:
                    raise ProtocolViolation(
                        f"nothing came for {SILENCE:.0f} seconds; what is stored stays: open another stream"
                    ) from None
                if not coming.done():
                    continue
                message = coming.result()
                if message is None:
                    return
                yield message
    finally:
        waiting = [each for each in (coming, stopping) if each is not None]
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _next(requests: AsyncIterator[T]) -> T | None:
    """The next message; None at the end."""
    async for request in requests:
        return request
    return None
