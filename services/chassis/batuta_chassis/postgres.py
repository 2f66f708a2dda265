"""PostgreSQL: a server, several processes, and still one writer at a time.

Every writing transaction of a service begins with one lock, as SQLite's BEGIN IMMEDIATE does. So use cases mean the
same on both, nobody waits for a deadlock to be found, and positions of a log are given in the order of commits. A
process that freezes with the lock in its hands loses its connection, and the lock, after `database_idle_within`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import cast

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, interfaces
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from batuta_chassis import postgres_text
from batuta_chassis.backend import READERS, Backend
from batuta_chassis.database_times import DatabaseTimes
from batuta_chassis.postgres_links import Links

_AGAIN = frozenset({"40001", "40P01"})
"""Serialization failure, deadlock: the server undid the transaction and asks for another try."""
_LOST = ("08", "57P", "25P03")
"""The connection is gone: cut, ended by the operator, by a crash, or for idling in a transaction."""
_SERVERS = (*_LOST, "53", "57", "58", "55P03", "XX")
"""Faults that are the server's: those, resources, its operator, its disk, a lock held too long."""
_LINK = (psycopg.OperationalError, psycopg.InterfaceError)


def open_postgres(url: URL, schema: str, times: DatabaseTimes) -> Backend:
    """The database that `url` names; the service's tables stand in a schema of its own, which is made if missing."""
    wanted = url.set(drivername="postgresql+psycopg")
    links = Links()
    return Backend(
        _engine(wanted, schema, times, links, readers=False),
        _engine(wanted, schema, times, links, readers=True),
        is_storage,
        may_repeat,
        _never,
        _say,
        patience=times.database_patience,
        close_within=times.database_close_within,
        cut=links.cut,
    )


def _never(_error: BaseException) -> bool:
    """The disk is the server's, and so is the care for it."""
    return False


def is_storage(error: BaseException) -> bool:
    """Whether the fault is the server's, and not that of the statement."""
    raised = _raised(error)
    if raised is None:
        return False
    code = raised.sqlstate or ""
    # Without a code it never reached the server, or nothing came back.
    return code.startswith(_SERVERS) or code in _AGAIN or (not code and isinstance(raised, _LINK))


def may_repeat(error: BaseException) -> bool:
    """Whether the transaction was undone and may be run again at once: a lost connection, a deadlock."""
    raised = _raised(error)
    if raised is None:
        return False
    code = raised.sqlstate or ""
    return code in _AGAIN or code.startswith(_LOST) or (not code and isinstance(raised, _LINK))


def _raised(error: BaseException) -> psycopg.Error | None:
    """The driver's own error, which Core wraps and `Prepared` does not."""
    raised = error.orig if isinstance(error, DBAPIError) else error
    return raised if isinstance(raised, psycopg.Error) else None


def _engine(url: URL, schema: str, times: DatabaseTimes, links: Links, *, readers: bool) -> Engine:
    settings = [
        ("statement_timeout", _millis(times.database_statement_within)),
        ("lock_timeout", _millis(times.database_lock_within)),
        ("idle_in_transaction_session_timeout", _millis(times.database_idle_within)),
        ("client_encoding", "UTF8"),
        ("search_path", schema),
        # Every statement of ours has its index. A plan that was made while a table was small and is kept, as those of
        # prepared statements are, would go on reading all of it.
        ("enable_seqscan", "off"),
        ("jit", "off"),
    ]
    if readers:
        settings.append(("default_transaction_read_only", "on"))
    arguments: dict[str, object] = {
        "connect_timeout": times.database_connect_within,
        "application_name": f"batuta-{schema}",
        "options": " ".join(f"-c {name}={value}" for name, value in settings),
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }
    if readers:
        engine = create_engine(
            url,
            hide_parameters=True,
            poolclass=QueuePool,
            pool_size=READERS,
            max_overflow=0,
            isolation_level="REPEATABLE READ",
            connect_args=arguments,
        )
        _watch(engine, links)
        return engine
    engine = create_engine(url, hide_parameters=True, poolclass=NullPool, connect_args=arguments)
    lock = zlib.crc32(f"batuta-{schema}".encode())

    def make_schema(raw: interfaces.DBAPIConnection, _record: object) -> None:
        _make_schema(raw, schema, lock)

    def on_begin(connection: Connection) -> None:
        _say(connection, ["BEGIN ISOLATION LEVEL READ COMMITTED", f"SELECT pg_advisory_xact_lock({lock})"])

    _watch(engine, links)
    event.listen(engine, "connect", make_schema)
    event.listen(engine, "begin", on_begin)
    return engine


def _watch(engine: Engine, links: Links) -> None:
    def on_connect(raw: interfaces.DBAPIConnection, _record: object) -> None:
        made = cast("psycopg.Connection[object]", raw)
        links.add(made)
        postgres_text.install(made)

    event.listen(engine, "do_connect", links.refuse)
    event.listen(engine, "connect", on_connect)


def _millis(seconds: float) -> str:
    return str(round(seconds * 1000))


def _make_schema(raw: interfaces.DBAPIConnection, schema: str, lock: int) -> None:
    cursor = raw.cursor()
    cursor.execute(f"SELECT pg_advisory_xact_lock({lock})")
    cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,))
    if cursor.fetchone() is None:
        cursor.execute(f'CREATE SCHEMA "{schema}"')
    raw.commit()
    cursor.close()
    # From here on BEGIN is said with the lock, and not once more by the driver.
    raw.autocommit = True


def _say(connection: Connection, statements: Sequence[str]) -> None:
    # By the driver's own cursor: Core's way around it costs as much as the server. Several cannot be prepared.
    cursor = cast("psycopg.Cursor[object]", connection.connection.cursor())
    try:
        cursor.execute("; ".join(statements).encode(), prepare=False)
    finally:
        cursor.close()
