"""One service's database: many readers, one writer that commits for everybody who waits.

On SQLite a commit costs an fsync, whoever waits for it. So one thread takes all use cases that wait, runs each under
a savepoint of its own inside one transaction, and commits once. Nobody hears of success before that commit.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, make_url
from sqlalchemy.engine import URL, interfaces
from sqlalchemy.pool import NullPool, QueuePool

from batuta_chassis.readers import Readers
from batuta_chassis.writer import Writer
from batuta_rpc.clock import Clock

T = TypeVar("T")

_BUSY_MILLIS = 10_000
_READERS = 4


class Database:
    """An open database. Must be made in the event loop that uses it, and closed.

    Reads and writes are plain functions over one connection; they run in threads of the database, each in a
    transaction of its own, and must not keep the connection.
    """

    def __init__(self, url: str, metadata: MetaData, clock: Clock, *, limit: int = 10_000) -> None:
        """`url` is SQLAlchemy's (`sqlite:///path`); `limit` bounds the use cases that wait for the writer, and the
        reads that wait for a reader."""
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            raise ValueError(f"this release stores in SQLite only; {parsed.get_backend_name()!r} is not supported yet")
        self.metadata = metadata
        self.clock = clock
        _create_private(parsed)
        self._write_engine = _engine(parsed, readers=False)
        self._read_engine = _engine(parsed, readers=True)
        self._writer = Writer(self, self._write_engine, limit)
        self._readers = Readers(self._read_engine, _READERS, limit)
        self._listeners: dict[str, list[Callable[[Any], None]]] = {}

    @property
    def engine(self) -> Engine:
        """The writing engine, for migrations before the service starts."""
        return self._write_engine

    async def write(self, use_case: Callable[[Connection], T], *, bulk: int = 0) -> T:
        """Run `use_case` in the writer and return its result once it is durable.

        `bulk`: about how many bytes it stores, for logs and other data that may wait; all else goes before it.

        If it raises, only its own changes are undone and the error is raised here. Raises `RateLimited` when too many
        use cases wait already, and `StorageFailed` when the disk is full or fails. Cancelling the caller does not undo
        a use case that has begun.
        """
        return await self._writer.run(use_case, bulk)

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
        with self._write_engine.begin() as connection:
            self.metadata.create_all(connection)

    async def close(self) -> None:
        """Finish what waits, then close all connections."""
        await asyncio.get_running_loop().run_in_executor(None, self._writer.close)
        await asyncio.get_running_loop().run_in_executor(None, self._readers.close)
        self._read_engine.dispose()
        self._write_engine.dispose()


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


def _create_private(url: URL) -> None:
    """Make the file before SQLite does, so that nobody else may read it; its side files take the same mode."""
    if not url.database or url.database == ":memory:":
        raise ValueError("the database must be a file: an SQLite database in memory has one connection only")
    os.close(os.open(url.database, os.O_CREAT | os.O_RDWR, 0o600))


def _engine(url: URL, *, readers: bool) -> Engine:
    if readers:
        engine = create_engine(url, poolclass=QueuePool, pool_size=_READERS, max_overflow=0)
    else:
        engine = create_engine(url, poolclass=NullPool)
    pragmas = ["journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_MILLIS}"]
    pragmas += ["cache_size=-16384", "temp_store=MEMORY", "mmap_size=268435456"]
    if readers:
        pragmas.append("query_only=ON")

    def on_connect(raw: interfaces.DBAPIConnection, _record: object) -> None:
        # The driver's own transaction control begins too late and commits too early; we say BEGIN ourselves.
        raw.isolation_level = None
        cursor = raw.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def on_begin(connection: Connection) -> None:
        # By the driver's own cursor: every transaction passes here, and Core's way around it costs 70 µs.
        cursor = connection.connection.cursor()
        cursor.execute("BEGIN" if readers else "BEGIN IMMEDIATE")
        cursor.close()

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine
