"""The outbox: what must be told to another service, written in the transaction of what it tells about.

An acknowledged change can therefore not lose its message, and a change that is undone leaves none. Messages of one
ordering key arrive in the order in which they were committed; each arrives at least once, so receivers must know them
again (`entry_id`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    insert,
    select,
    update,
)

from batuta_chassis.members import MEMBERS
from batuta_chassis.unit import after_commit, unit_of


def outbox_table(metadata: MetaData) -> Table:
    """The table, as part of a service's own `metadata`."""
    return Table(
        "outbox",
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=True),
        Column("topic", String(128), nullable=False),
        Column("ordering_key", String(128), nullable=False),
        Column("payload", LargeBinary, nullable=False),
        Column("create_time", BigInteger, nullable=False),  # milliseconds since 1970
        Column("attempts", Integer, nullable=False),
        Column("owner", String(64), nullable=False, server_default="", index=True),  # the process that delivers it
        sqlite_autoincrement=True,  # an id is never given twice, or a late delete would hit another row
    )


OUTBOX = outbox_table(MetaData())
"""The same table, standing alone: for migrations (`OUTBOX.create(op.get_bind())`) and for the statements here."""


@dataclass(frozen=True)
class OutboxRow:
    """One message on its way."""

    id: int
    topic: str
    ordering_key: str
    payload: bytes
    behind: bool = False
    """Whether another process may still have an older message of the same key to deliver."""


class Outbox:
    """Writes messages."""

    @staticmethod
    def add(connection: Connection, topic: str, ordering_key: str, payload: bytes) -> OutboxRow:
        """Send `payload` once the running use case is durable. Only within `Database.write`."""
        database = unit_of(connection).database
        values = {
            "topic": topic,
            "ordering_key": ordering_key,
            "payload": payload,
            "create_time": database.clock.unix_millis(),
            "attempts": 0,
            "owner": database.process,
        }
        key = connection.execute(insert(OUTBOX), values).inserted_primary_key
        assert key is not None
        row = OutboxRow(key[0], topic, ordering_key, payload, is_behind(connection, ordering_key, key[0]))
        after_commit(connection, lambda: database.announce("outbox", row))
        return row

    @staticmethod
    def pending(connection: Connection, ordering_keys: Sequence[str]) -> set[str]:
        """Those of the keys that have messages on their way. At most some hundreds of keys."""
        query = select(OUTBOX.c.ordering_key).where(OUTBOX.c.ordering_key.in_(list(ordering_keys))).distinct()
        return set(connection.execute(query).scalars())


def is_behind(connection: Connection, ordering_key: str, row_id: int) -> bool:
    """Whether another process has an older message of that key to deliver. Only within `Database.write`."""
    process = unit_of(connection).database.process
    return bool(process) and behind(connection, ordering_key, row_id, process)


def behind(connection: Connection, ordering_key: str, row_id: int, process: str) -> bool:
    """Whether somebody else than `process` has an older message of that key to deliver."""
    older = select(OUTBOX.c.id).where(
        OUTBOX.c.ordering_key == ordering_key, OUTBOX.c.id < row_id, OUTBOX.c.owner != process
    )
    return connection.execute(older.limit(1)).first() is not None


def rows_after(connection: Connection, after: int, limit: int, process: str = "") -> list[OutboxRow]:
    """The oldest messages with an id above `after` that `process` delivers, at most `limit`."""
    query = (
        select(OUTBOX.c.id, OUTBOX.c.topic, OUTBOX.c.ordering_key, OUTBOX.c.payload)
        .where(OUTBOX.c.id > after, OUTBOX.c.owner == process)
        .order_by(OUTBOX.c.id)
        .limit(limit)
    )
    return _rows(connection, query, process)


def take_over(connection: Connection, process: str) -> list[OutboxRow]:
    """Deliver, as `process`, what processes left that are no members any more. Returns all of it, oldest first."""
    left = OUTBOX.c.owner.not_in(select(MEMBERS.c.id))
    connection.execute(update(OUTBOX).where(left).values(owner=process))
    query = select(OUTBOX.c.id, OUTBOX.c.topic, OUTBOX.c.ordering_key, OUTBOX.c.payload)
    return _rows(connection, query.where(OUTBOX.c.owner == process).order_by(OUTBOX.c.id), process)


def _rows(connection: Connection, query: Any, process: str) -> list[OutboxRow]:
    rows = connection.execute(query)
    return [OutboxRow(row.id, row.topic, row.ordering_key, row.payload, bool(process)) for row in rows]
