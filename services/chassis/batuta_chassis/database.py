"""One service's database: many readers, one writer that commits for everybody who waits.

A commit costs an fsync, whoever waits for it. So one thread takes all use cases that wait, runs each under a savepoint
of its own inside one transaction, and commits once. Nobody hears of success before that commit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, MetaData, make_url
from sqlalchemy.exc import ArgumentError

from batuta_chassis.backend import READERS, Backend
from batuta_chassis.database_meter import DatabaseMeter
from batuta_chassis.database_times import DatabaseTimes
from batuta_chassis.readers import Readers
from batuta_chassis.settings import SettingsError
from batuta_chassis.sqlite import open_sqlite, sqlite_url
from batuta_chassis.writer import DOUBT, Writer
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids, SystemIds

__all__ = ["DOUBT", "Database", "open_backend", "sqlite_url"]

T = TypeVar("T")

_log = logging.getLogger(__name__)
_CUT_SECONDS = 10.0
"""For threads whose connections were cut: nothing can keep them but a connection that is being made."""


class Database:
    """An open database. Must be made in the event loop that uses it, and closed.

    Reads and writes are plain functions over one connection; they run in threads of the database, each in a
    transaction of its own, and must not keep the connection.
    """

    def __init__(
        self,
        url: str,
        metadata: MetaData,
        clock: Clock,
        *,
        limit: int = 10_000,
        schema: str = "batuta",
        ids: Ids | None = None,
        times: DatabaseTimes | None = None,
        reserve: int = 0,
    ) -> None:
        """`url` is `sqlite:///path` or `postgresql://user:password@host/database`; on PostgreSQL all tables stand in
        `schema`. `limit` bounds the use cases that wait for the writer, and the reads that wait for a reader. `reserve`
        bytes of an SQLite file's disk are kept for what is not bulk, for when the disk is full.

        Raises `SettingsError` for another kind of URL.
        """
        self.metadata = metadata
        self.process = ""
        """The id of this process among those that share the database; empty for one that is alone."""
        self.clock = clock
        self._backend = open_backend(url, schema, times or DatabaseTimes(), reserve)
        self._writer = Writer(self, self._backend, limit, ids or SystemIds())
        self._readers = Readers(self._backend, READERS, limit, clock)
        self._listeners: dict[str, list[Callable[[Any], None]]] = {}

    @property
    def engine(self) -> Engine:
        """The writing engine, for migrations before the service starts."""
        return self._backend.write_engine

    @property
    def meter(self) -> DatabaseMeter:
        """What it counts."""
        return self._writer.meter

    async def write(self, use_case: Callable[[Connection], T], *, bulk: int = 0, late: bool = False) -> T:
        """Run `use_case` in the writer and return its result once it is durable.

        `bulk`: about how many bytes it stores, for data that may wait; what is not bulk goes before it. `late`: other
        bulk data goes before it too.

        If it raises, only its own changes are undone and the error is raised here. Raises `RateLimited` when too many
        use cases wait already, and `StorageFailed` when the disk is full (and, for what is not bulk, its reserve used
        up) or fails, or the server is away. Cancelling the caller does not undo a use case that has begun. `use_case`
        may run more than once: a run that a broken connection or a full disk ended has left nothing behind.
        """
        return await self._writer.run(use_case, bulk, late)

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run `query` on one snapshot of what is committed, and return its result. It cannot write."""
        return await self._readers.run(query)

    def listen(self, topic: str, listener: Callable[[Any], None]) -> Callable[[], None]:
        """Hear of every `announce` of `topic`, in order, on the event loop. Returns what ends it."""
        listeners = self._listeners.setdefault(topic, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def announce(self, topic: str, item: object) -> None:
        """Tell the listeners of `topic`. Meant for hooks that run after a commit: news, never the only copy."""
        for listener in self._listeners.get(topic, ()):
            listener(item)

    def create_all(self) -> None:
        """Make all tables at once; for tests. Services use `batuta_chassis.migrations`."""
        with self._backend.write_engine.begin() as connection:
            self.metadata.create_all(connection)

    async def close(self) -> None:
        """Finish what waits, then close all connections; cut them where a server does not answer in time."""
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        self._writer.end()
        self._readers.end()
        limit = self._backend.close_within
        ended = self._writer.join(limit)
        if not (self._readers.join(limit) and ended):
            _log.warning("the database does not answer: its connections are cut")
            self._backend.cut()
            for each in (self._writer, self._readers):
                each.join(_CUT_SECONDS)
        self._backend.dispose()


def open_backend(url: str, schema: str, times: DatabaseTimes, reserve: int) -> Backend:
    """The database that a URL names. Raises `SettingsError` for another kind of URL."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingsError("a database URL is sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE") from None
    kind = "postgresql" if parsed.drivername == "postgres" else parsed.get_backend_name()
    if kind == "sqlite":
        return open_sqlite(parsed, reserve)
    if kind == "postgresql":
        if find_spec("psycopg") is None:
            raise SettingsError("PostgreSQL needs its driver: pip install 'batuta[postgres]'")
        from batuta_chassis.postgres import open_postgres  # here: the driver is an extra

        return open_postgres(parsed, schema, times)
    raise SettingsError(f"Batuta stores in SQLite or PostgreSQL; {kind!r} is neither")
