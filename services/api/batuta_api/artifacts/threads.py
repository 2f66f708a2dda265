"""Threads for work on bytes, which blocks: so many at once, and never left behind half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class BlobThreads:
    """A pool of threads."""

    def __init__(self, size: int) -> None:
        self._pool = ThreadPoolExecutor(size, "batuta-blobs")

    async def run(self, fn: Callable[[], T]) -> T:
        """What `fn` gives. A caller that is cancelled goes on only when `fn` has ended: what it holds is in use."""
        future = asyncio.get_running_loop().run_in_executor(self._pool, fn)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait({future})
            raise

    async def close(self) -> None:
        """Wait for what runs, and end."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
