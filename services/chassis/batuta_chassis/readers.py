"""The reader threads of a database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from sqlalchemy import Connection

from batuta_chassis.backend import READERS, Backend
from batuta_rpc.clock import Clock, within
from batuta_rpc.errors import RateLimited, ShuttingDown, StorageFailed

T = TypeVar("T")

_TRIES = READERS + 2
"""Every pooled connection may be one that the server has dropped."""


class Readers:
    """A few threads that each answer one query at a time."""

    def __init__(self, backend: Backend, threads: int, limit: int, clock: Clock) -> None:
        self._backend = backend
        self._limit = limit
        self._clock = clock
        self._waiting = 0
        self._closed = False
        self._running: set[Future[Any]] = set()
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
        running = self._pool.submit(self._read, query)
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        reading = asyncio.wrap_future(running)
        try:
            if self._backend.patience is None:
                return await reading
            return await within(self._clock, self._backend.patience, reading)
        except TimeoutError:
            raise StorageFailed("the database does not answer now; try again") from None
        finally:
            self._waiting -= 1

    def _read(self, query: Callable[[Connection], T]) -> T:
        tries = _TRIES
        while True:
            tries -= 1
            try:
                return self._read_once(query)
            except Exception as error:
                # A pooled connection that the server has dropped says so only when it is used.
                if tries and not self._closed and self._backend.may_repeat(error):
                    continue
                if self._backend.patience is not None and self._backend.is_storage(error):
                    raise StorageFailed("the service cannot read from its database now; try again") from error
                raise

    def _read_once(self, query: Callable[[Connection], T]) -> T:
        with self._backend.read_engine.connect() as connection:
            try:
                with connection.begin():
                    return query(connection)
            except Exception as error:
                if self._backend.may_repeat(error):
                    connection.invalidate()
                raise

    def end(self) -> None:
        """Take no more. Where a server answers, what has not begun is left: nobody waits for it any more."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=self._backend.patience is not None)

    def join(self, timeout: float | None) -> bool:
        """Wait until the threads have ended, after `end`; False: some have not."""
        return not wait(tuple(self._running), timeout).not_done
