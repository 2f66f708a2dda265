"""The writer thread of a database: group commit."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from batuta_chassis.backend import Backend
from batuta_chassis.database_meter import DatabaseMeter
from batuta_chassis.lanes import Job, Lanes
from batuta_chassis.unit import Unit, enter
from batuta_rpc.backoff import Backoff
from batuta_rpc.clock import within
from batuta_rpc.errors import RateLimited, ShuttingDown, StorageFailed
from batuta_rpc.ids import Ids

if TYPE_CHECKING:
    from batuta_chassis.database import Database

T = TypeVar("T")

_log = logging.getLogger(__name__)
_BULK_WAITING = 64 * 1024 * 1024
"""Bulk data that may wait."""
_TRIES = 4
"""Runs of one group, where what went wrong left nothing behind and may not happen again."""
DOUBT = "database-doubt"
"""Announced when nobody knows whether a commit went through: what memory has of the rows must be looked at anew, in a
use case, which runs only when that commit is over. Its item is None."""
_FULL = "the service cannot write to its disk now, which may be full; nothing was changed. Try again"

_SAVE, _BACK, _RELEASE = "SAVEPOINT use_case", "ROLLBACK TO SAVEPOINT use_case", "RELEASE SAVEPOINT use_case"


class _Unknown(Exception):
    """The connection broke while the commit was under way: nobody here knows whether it went through."""


class Writer:
    """Runs use cases one after the other, and commits those that waited together together; see `Lanes` for which."""

    def __init__(self, database: Database, backend: Backend, limit: int, ids: Ids) -> None:
        self._database = database
        self._backend = backend
        self._limit = limit
        self._ids = ids
        self._connection: Connection | None = None
        self._waiting = 0
        self._bulk_waiting = 0
        self._lanes = Lanes()
        self.meter = DatabaseMeter()
        self._ending = False
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="batuta-writer", daemon=True)
        self._thread.start()

    async def run(self, use_case: Callable[[Connection], T], bulk: int = 0, late: bool = False) -> T:
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
        self._jobs.put(Job(use_case, loop, future, bulk, late))
        if self._backend.patience is None:
            return await future
        try:
            return await within(self._database.clock, self._backend.patience, future)
        except TimeoutError:
            raise StorageFailed(
                "the database does not answer now; whether the change was stored is not known. Repeat the call"
            ) from None

    def end(self) -> None:
        """Take no more, and end the thread once what waits is done."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)

    def join(self, timeout: float | None) -> bool:
        """Wait until the thread has ended, after `end`; False: it has not."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while True:
            group, last = self._take()
            if group:
                doubt = False
                begun = self._database.clock.monotonic()
                try:
                    self._store(group)
                    self.meter.stored(len(group), self._database.clock.monotonic() - begun)
                except BaseException as error:
                    doubt = isinstance(error, _Unknown)
                    # The transaction itself failed (disk full, server away): nobody's change is known to be durable.
                    self.meter.failed(len(group))
                    _log.error("%d changes could not be stored: %s", len(group), error)
                    for job in group:
                        job.error = job.error or self._told(error)
                self._settle(group, doubt)
            if last:
                self._discard()
                return

    def _store(self, group: list[Job]) -> None:
        """Commit a group; run it again, a few times, where the run before left nothing behind."""
        backoff = Backoff(self._ids, first=0.02, cap=1.0)
        reserve = self._backend.reserve
        if reserve is not None and not reserve.take():
            group = _without_bulk(group, StorageFailed(_FULL))
        while group:
            try:
                self._connection = self._connection or self._backend.write_engine.connect()
                self._commit(self._connection, group)
                return
            except BaseException as error:
                self._discard()
                lighter = self._lighter(group, error)
                if lighter is None:
                    if self._closed or backoff.tries + 1 >= _TRIES or not self._backend.may_repeat(error):
                        raise
                    self._database.clock.sleep_blocking(backoff.next())
                group = group if lighter is None else lighter
                for job in group:
                    job.forget()

    def _lighter(self, group: list[Job], error: BaseException) -> list[Job] | None:
        """What may still be stored where a full disk took nothing; None where there is nothing to be done about it."""
        if not self._backend.is_full(error):
            return None
        lighter = _without_bulk(group, self._told(error))
        if len(lighter) < len(group):
            _log.error("%d changes with bulk data could not be stored: %s", len(group) - len(lighter), error)
            return lighter
        reserve = self._backend.reserve
        return group if reserve is not None and reserve.give_up() else None

    def _take(self) -> tuple[list[Job], bool]:
        """Wait for a job; then those that wait beside it. True when the writer is to end after them."""
        if not self._lanes and not self._ending:
            self._sort(self._jobs.get())
        while True:
            try:
                self._sort(self._jobs.get_nowait())
            except Empty:
                break
        return self._lanes.take(), self._ending and not self._lanes

    def _sort(self, job: Job | None) -> None:
        if job is None:
            self._ending = True
        else:
            self._lanes.put(job)

    def _commit(self, connection: Connection, group: list[Job]) -> None:
        transaction = connection.begin()
        try:
            if len(group) == 1:
                # Alone, the transaction is the savepoint.
                self._run(connection, group[0])
                if group[0].error is not None:
                    transaction.rollback()
                    return
            else:
                self._run_all(connection, group)
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

    def _run_all(self, connection: Connection, group: list[Job]) -> None:
        before: tuple[str, ...] = ()
        for job in group:
            self._backend.say(connection, (*before, _SAVE))
            self._run(connection, job)
            before = (_RELEASE,) if job.error is None else (_BACK, _RELEASE)
        self._backend.say(connection, before)

    def _run(self, connection: Connection, job: Job) -> None:
        """Run one use case. Raises what ends the whole transaction."""
        job.unit = Unit(self._database)
        enter(connection, job.unit)
        try:
            job.result = job.context.run(job.use_case, connection)
        except Exception as error:
            if self._backend.may_repeat(error) or self._backend.is_full(error):
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
            text = _FULL
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

    def _settle(self, group: list[Job], doubt: bool) -> None:
        """Wake every caller in its loop, with one wake-up of each loop."""
        by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
        for job in group:
            by_loop.setdefault(job.loop, []).append(job)
        for loop, jobs in by_loop.items():
            try:
                loop.call_soon_threadsafe(self._settle_in_loop, jobs, doubt)
            except RuntimeError:
                _log.warning("%d callers of the database are gone with their event loop", len(jobs))

    def _settle_in_loop(self, jobs: list[Job], doubt: bool) -> None:
        if doubt:
            self._database.announce(DOUBT, None)
        for job in jobs:
            self._count(-1, -job.bulk)
            job.settle()

    def _count(self, jobs: int, bulk: int) -> None:
        if bulk:  # of bulk data the bytes count, so that much of it never keeps anything else out
            self._bulk_waiting += bulk
        else:
            self._waiting += jobs
        self.meter.waiting, self.meter.bulk_waiting = self._waiting, self._bulk_waiting


def _without_bulk(group: list[Job], error: BaseException) -> list[Job]:
    """The others of a group, once bulk data has been refused."""
    for job in group:
        if job.bulk:
            job.error = error
    return [job for job in group if not job.bulk]
