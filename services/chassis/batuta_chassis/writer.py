"""The writer thread of a database: group commit."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from batuta_chassis.backend import Backend
from batuta_chassis.unit import Unit, enter
from batuta_rpc.backoff import Backoff
from batuta_rpc.clock import within
from batuta_rpc.errors import RateLimited, ShuttingDown, StorageFailed
from batuta_rpc.ids import Ids

if TYPE_CHECKING:
    from batuta_chassis.database import Database

T = TypeVar("T")

_log = logging.getLogger(__name__)
_GROUP = 256
"""Use cases in one commit at most: what waits behind them should not wait long."""
_BULK_BYTES = 1024 * 1024
"""Bulk data in one commit, more or less: what comes meanwhile should not wait long."""
_LEAN = 8
"""Of so many commits with anything else in them, one takes bulk data along."""
_BULK_WAITING = 64 * 1024 * 1024
"""Bulk data that may wait."""
_TRIES = 4
"""Runs of one group, where what went wrong left nothing behind and may not happen again."""
_CLOSE_SECONDS = 20.0
"""How long the end of a process waits for a server that does not answer."""


class _Unknown(Exception):
    """The connection broke while the commit was under way: nobody here knows whether it went through."""


class _Job:
    """One use case on its way through the writer."""

    __slots__ = ("bulk", "error", "future", "loop", "result", "unit", "use_case")

    def __init__(
        self,
        use_case: Callable[[Connection], Any],
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[Any],
        bulk: int,
    ) -> None:
        self.bulk = bulk
        self.use_case = use_case
        self.loop = loop
        self.future = future
        self.unit: Unit | None = None
        self.result: Any = None
        self.error: BaseException | None = None

    def forget(self) -> None:
        """Be as before the run, which left nothing behind."""
        self.unit = self.result = self.error = None

    def settle(self) -> None:
        """Run the hooks and wake the caller. Runs in the caller's event loop."""
        if self.error is None and self.unit is not None:
            for hook in self.unit.hooks:
                try:
                    hook()
                except Exception:
                    _log.exception("a hook that runs after commit failed")
        if self.future.done():
            return  # the caller was cancelled while it waited
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Writer:
    """Runs use cases one after the other, and commits those that waited together together.

    There are two lanes. Bulk data goes only as fast as the disk takes it, so what is not bulk passes it, and shares its
    commits with it only now and then, so that bulk data never stands still.
    """

    def __init__(self, database: Database, backend: Backend, limit: int, ids: Ids) -> None:
        self._database = database
        self._backend = backend
        self._limit = limit
        self._ids = ids
        self._connection: Connection | None = None
        self._waiting = 0
        self._bulk_waiting = 0
        self._urgent: deque[_Job] = deque()
        self._bulk: deque[_Job] = deque()
        self._ending = False
        self._lean = 0
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="batuta-writer", daemon=True)
        self._thread.start()

    async def run(self, use_case: Callable[[Connection], T], bulk: int = 0) -> T:
        """See `Database.write`."""
        if self._closed:
            raise ShuttingDown("the database is closed: this process is going down")
        if self._waiting >= self._limit or (bulk and self._bulk_waiting + bulk > _BULK_WAITING):
            raise RateLimited(
                f"{self._waiting} changes wait for the database already; try again",
                retry_delay=0.5,
                waiting=self._waiting,
                bulk_bytes=self._bulk_waiting,
            )
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._count(1, bulk)
        self._jobs.put(_Job(use_case, loop, future, bulk))
        if self._backend.patience is None:
            return await future
        try:
            return await within(self._database.clock, self._backend.patience, future)
        except TimeoutError:
            raise StorageFailed(
                "the database does not answer now; whether the change was stored is not known. Repeat the call"
            ) from None

    def close(self) -> None:
        """Finish what waits and end the thread. Blocks, but for ever only on a file."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        self._thread.join(None if self._backend.patience is None else _CLOSE_SECONDS)

    def _work(self) -> None:
        while True:
            group, last = self._take()
            if group:
                try:
                    self._store(group)
                except BaseException as error:
                    # The transaction itself failed (disk full, server away): nobody's change is known to be durable.
                    _log.error("%d changes could not be stored: %s", len(group), error)
                    for job in group:
                        job.error = job.error or self._told(error)
                self._settle(group)
            if last:
                self._discard()
                return

    def _store(self, group: list[_Job]) -> None:
        """Commit a group; run it again, a few times, where the run before left nothing behind."""
        backoff = Backoff(self._ids, first=0.02, cap=1.0)
        while True:
            try:
                self._connection = self._connection or self._backend.write_engine.connect()
                return self._commit(self._connection, group)
            except BaseException as error:
                self._discard()
                if backoff.tries + 1 >= _TRIES or not self._backend.may_repeat(error):
                    raise
                for job in group:
                    job.forget()
                self._database.clock.sleep_blocking(backoff.next())

    def _take(self) -> tuple[list[_Job], bool]:
        """Wait for a job; then those that wait beside it. True when the writer is to end after them."""
        if not self._urgent and not self._bulk and not self._ending:
            self._sort(self._jobs.get())
        while True:
            try:
                self._sort(self._jobs.get_nowait())
            except Empty:
                break
        group = [self._urgent.popleft() for _ in range(min(_GROUP, len(self._urgent)))]
        self._lean = (self._lean + 1) % _LEAN if group else 0
        room, weight = 0 if self._lean else _BULK_BYTES, 0
        while self._bulk and weight < room and len(group) < 2 * _GROUP:
            group.append(self._bulk.popleft())
            weight += group[-1].bulk
        return group, self._ending and not self._urgent and not self._bulk

    def _sort(self, job: _Job | None) -> None:
        if job is None:
            self._ending = True
        else:
            (self._bulk if job.bulk else self._urgent).append(job)

    def _commit(self, connection: Connection, group: list[_Job]) -> None:
        transaction = connection.begin()
        try:
            if len(group) == 1:
                # Alone, the transaction is the savepoint.
                self._run(connection, group[0])
                if group[0].error is not None:
                    transaction.rollback()
                    return
            else:
                for job in group:
                    connection.exec_driver_sql("SAVEPOINT use_case")
                    self._run(connection, job)
                    if job.error is not None:
                        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT use_case")
                    connection.exec_driver_sql("RELEASE SAVEPOINT use_case")
        except BaseException:
            if transaction.is_active:
                transaction.rollback()
            raise
        try:
            transaction.commit()
        except BaseException as error:
            if self._backend.may_repeat(error):
                raise _Unknown(str(error)) from error
            raise

    def _run(self, connection: Connection, job: _Job) -> None:
        """Run one use case. Raises what ends the whole transaction."""
        job.unit = Unit(self._database)
        enter(connection, job.unit)
        try:
            job.result = job.use_case(connection)
        except Exception as error:
            if self._backend.may_repeat(error):
                raise
            job.error = self._told(error) if self._backend.is_storage(error) else error
        except BaseException as error:
            job.error = error
        finally:
            enter(connection, None)

    def _told(self, error: BaseException) -> BaseException:
        """The error as callers hear of it."""
        if isinstance(error, _Unknown):
            text = (
                "the database went away during the commit; whether the change was stored is not known. Repeat the call"
            )
        elif isinstance(error, DBAPIError) or self._backend.is_storage(error):
            text = "the service cannot write to its disk now, which may be full; nothing was changed. Try again"
        else:
            return error
        failed = StorageFailed(text)
        failed.__cause__ = error
        return failed

    def _discard(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except Exception:
                _log.exception("closing the writing connection failed")

    def _settle(self, group: list[_Job]) -> None:
        """Wake every caller in its loop, with one wake-up of each loop."""
        by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
        for job in group:
            by_loop.setdefault(job.loop, []).append(job)
        for loop, jobs in by_loop.items():
            try:
                loop.call_soon_threadsafe(self._settle_in_loop, jobs)
            except RuntimeError:
                _log.warning("%d callers of the database are gone with their event loop", len(jobs))

    def _settle_in_loop(self, jobs: list[_Job]) -> None:
        for job in jobs:
            self._count(-1, -job.bulk)
            job.settle()

    def _count(self, jobs: int, bulk: int) -> None:
        if bulk:  # of bulk data the bytes count, so that much of it never keeps anything else out
            self._bulk_waiting += bulk
        else:
            self._waiting += jobs
