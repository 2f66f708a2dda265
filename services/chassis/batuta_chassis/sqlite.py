"""SQLite: one file, one process, one writer."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, interfaces
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from batuta_chassis.backend import READERS, Backend
from batuta_chassis.reserve import Reserve
from batuta_chassis.settings import SettingsError

_BUSY_MILLIS = 10_000
_OF_THE_DISK = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
"""The second, because what SQLite maps into memory tells of a full disk only as a fault."""


def open_sqlite(url: URL, reserve: int = 0) -> Backend:
    """The file that `url` names, made if it is missing, with so many bytes beside it that are kept for a full disk.

    Raises `SettingsError` for a database in memory.
    """
    path = _create_private(url)
    kept = Reserve(path.with_name(f"{path.name}-reserve"), reserve) if reserve else None
    return Backend(
        _engine(url, readers=False), _engine(url, readers=True), is_about_the_disk, _never, is_full, _say, kept
    )


def _say(connection: Connection, statements: Sequence[str]) -> None:
    cursor = connection.connection.cursor()  # by the driver's own, as BEGIN below
    for statement in statements:
        cursor.execute(statement)
    cursor.close()


def is_about_the_disk(error: BaseException) -> bool:
    """Whether the fault is the disk's, and not that of the statement."""
    return _code(error) in _OF_THE_DISK


def is_full(error: BaseException) -> bool:
    """Whether there was no room for it."""
    return _code(error) in _NO_ROOM


def _code(error: BaseException) -> int:
    raised = error.orig if isinstance(error, DBAPIError) else error
    return int(getattr(raised, "sqlite_errorcode", 0)) & 0xFF


def _never(_error: BaseException) -> bool:
    """A file has waited for its lock already: once more would not help."""
    return False


def _create_private(url: URL) -> Path:
    """Make the file before SQLite does, so that nobody else may read it; its side files take the same mode."""
    if not url.database or url.database == ":memory:":
        raise SettingsError("the database must be a file: an SQLite database in memory has one connection only")
    os.close(os.open(url.database, os.O_CREAT | os.O_RDWR, 0o600))
    return Path(url.database)


def _engine(url: URL, *, readers: bool) -> Engine:
    if readers:
        engine = create_engine(url, hide_parameters=True, poolclass=QueuePool, pool_size=READERS, max_overflow=0)
    else:
        engine = create_engine(url, hide_parameters=True, poolclass=NullPool)
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
