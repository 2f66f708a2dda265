"""The reader threads of an SQLite database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine

from batuta_rpc.errors import RateLimited, ShuttingDown

T = TypeVar("T")


class Readers:
    """A few threads that each answer one query at a time."""

    def __init__(self, engine: Engine, threads: int, limit: int) -> None:
        self._engine = engine
        self._limit = limit
        self._waiting = 0
        self._closed = False
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="batuta-reader")

    async def run(self, query: Callable[[Connection], T]) -> T:
        """See `Database.read`."""
        if self._closed:
            raise ShuttingDown("the database is closed: this process is going down")
        if self._waiting >= self._limit:
            raise RateLimited(
                f"{self._waiting} queries wait for the database already; try again", waiting=self._waiting
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, query)
        finally:
            self._waiting -= 1

    def _read(self, query: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            return query(connection)

    def close(self) -> None:
        """Finish what waits and end the threads. Blocks."""
        self._closed = True
        self._pool.shutdown()
