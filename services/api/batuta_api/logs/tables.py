"""Tables of logs."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Table

from batuta_api.schema import metadata

log_tasks = Table(
    "log_tasks",
    metadata,
    Column("task_id", String(64), primary_key=True),
    Column("last_position", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)

log_streams = Table(
    "log_streams",
    metadata,
    Column("task_id", String(64), primary_key=True),
    Column("attempt", BigInteger, primary_key=True),
    Column("producer", String(128), primary_key=True),
    Column("committed_offset", BigInteger, nullable=False),
)

log_chunks = Table(
    "log_chunks",
    metadata,
    Column("task_id", String(64), primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("attempt", BigInteger, nullable=False),
    Column("producer", String(128), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("length", Integer, nullable=False),
    Column("time_unix_millis", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
