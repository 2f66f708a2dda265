"""For the state machine: transactions in groups, run in the loop, held up, failed and killed at will."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import StaticPool

from batuta_chassis.unit import Unit, enter
from batuta_queue.sql import SqlStore
from batuta_queue.store import QueueStore
from batuta_queue.tables import metadata
from batuta_queue.testing import MemoryStore
from batuta_rpc.clock import Clock
from batuta_rpc.errors import StorageFailed

T = TypeVar("T")
Hooks = list[Callable[[], object]]


class Rows(Protocol):
    """What outlives a broker."""

    def begin(self) -> None:
        """Begin a transaction."""

    def run(self, fn: Callable[[QueueStore], T]) -> tuple[T, Hooks]:
        """Run a use case; undone by itself if it raises."""
        ...

    def end(self, *, durable: bool) -> None:
        """Commit, or undo everything since `begin`."""

    def look(self, fn: Callable[[QueueStore], T]) -> T:
        """Read what is committed."""
        ...


class MemoryRows:
    """Rows in memory. All values are frozen, so that copies of the containers are a copy of everything."""

    def __init__(self) -> None:
        self._store = MemoryStore()
        self._before = self._store

    def begin(self) -> None:
        self._before = _copy(self._store)

    def run(self, fn: Callable[[QueueStore], T]) -> tuple[T, Hooks]:
        before = _copy(self._store)
        try:
            result = fn(self._store)
        except BaseException:
            self._store = before
            raise
        hooks, self._store.hooks = self._store.hooks, []
        return result, list(hooks)

    def end(self, *, durable: bool) -> None:
        if not durable:
            self._store = self._before

    def look(self, fn: Callable[[QueueStore], T]) -> T:
        return fn(self._store)


class SqliteRows:
    """Rows in an SQLite database in memory, over one connection and without threads."""

    def __init__(self, clock: Clock) -> None:
        engine = create_engine("sqlite://", poolclass=StaticPool)
        event.listen(engine, "connect", _manual)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        self._connection: Connection = engine.connect()
        with self._connection.begin():
            metadata.create_all(self._connection)
        self._clock = clock
        self._transaction: Any = None

    def begin(self) -> None:
        self._transaction = self._connection.begin()

    def run(self, fn: Callable[[QueueStore], T]) -> tuple[T, Hooks]:
        unit = Unit(cast(Any, None))  # no use case of the queue asks it for its database
        self._connection.exec_driver_sql("SAVEPOINT use_case")
        enter(self._connection, unit)
        try:
            result = fn(SqlStore(self._connection, self._clock))
        except BaseException:
            self._connection.exec_driver_sql("ROLLBACK TO use_case")
            raise
        finally:
            enter(self._connection, None)
            self._connection.exec_driver_sql("RELEASE use_case")
        return result, unit.hooks

    def end(self, *, durable: bool) -> None:
        if durable:
            self._transaction.commit()
        else:
            self._transaction.rollback()

    def look(self, fn: Callable[[QueueStore], T]) -> T:
        with self._connection.begin():
            return fn(SqlStore(self._connection, self._clock))

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()


class ModelTransactor:
    """The transactor of one broker process, over rows that outlive it.

    Use cases that wait are run in one transaction, as the real writer does; hooks and answers come in a later turn of
    the loop. `fault` happens at the next commit: `fail` (nothing durable, everybody hears of it), `crash before` and
    `crash after` (the process is dead, nobody hears anything; the second one is durable).
    """

    def __init__(self, rows: Rows, loop: asyncio.AbstractEventLoop) -> None:
        self._rows = rows
        self._loop = loop
        self._jobs: list[tuple[Callable[[QueueStore], Any], asyncio.Future[Any]]] = []
        self._scheduled = False
        self.held = False
        self.dead = False
        self.fault = ""
        self.failures = 0

    @property
    def busy(self) -> bool:
        """Whether use cases wait."""
        return bool(self._jobs)

    async def write(self, fn: Callable[[QueueStore], T]) -> T:
        """See `Transactor.write`."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.append((fn, future))
        self._schedule()
        return await future

    async def read(self, fn: Callable[[QueueStore], T]) -> T:
        """See `Transactor.read`."""
        await asyncio.sleep(0)
        if self.dead:
            await self._loop.create_future()
        return self._rows.look(fn)

    def release(self) -> None:
        """Go on after `held`."""
        self.held = False
        self._schedule()

    def _schedule(self) -> None:
        if self._jobs and not (self.held or self.dead or self._scheduled):
            self._scheduled = True
            self._loop.call_soon(self._commit)

    def _commit(self) -> None:
        self._scheduled = False
        if self.held or self.dead:
            return
        jobs, self._jobs = self._jobs, []
        fault, self.fault = self.fault, ""
        self._rows.begin()
        answers = [self._run(fn, future) for fn, future in jobs]
        self._rows.end(durable=fault in ("", "crash after"))
        if fault.startswith("crash"):
            self.dead = True
            return
        if fault:
            self.failures += 1
            failed = StorageFailed("the disk is full")
            answers = [_failing(future, failed) for _, future in jobs]
        self._loop.call_soon(self._settle, answers)

    def _run(self, fn: Callable[[QueueStore], Any], future: asyncio.Future[Any]) -> Callable[[], None]:
        try:
            result, hooks = self._rows.run(fn)
        except Exception as error:
            return _failing(future, error)

        def settle() -> None:
            for hook in hooks:
                hook()
            if not future.done():
                future.set_result(result)

        return settle

    def _settle(self, answers: list[Callable[[], None]]) -> None:
        if not self.dead:
            for answer in answers:
                answer()


def _failing(future: asyncio.Future[Any], error: Exception) -> Callable[[], None]:
    def settle() -> None:
        if not future.done():
            future.set_exception(error)

    return settle


def _copy(store: MemoryStore) -> MemoryStore:
    made = copy.copy(store)
    for name, value in vars(store).items():
        setattr(made, name, copy.copy(value))
    return made


def _manual(raw: Any, _record: object) -> None:
    raw.isolation_level = None
