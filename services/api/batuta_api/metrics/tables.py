"""Tables of scalars."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, String, Table, Text

from batuta_api.schema import metadata

scalar_tasks = Table(
    "scalar_tasks",
    metadata,
    Column("task_id", String(64), primary_key=True),
    Column("last_position", BigInteger, nullable=False),
    Column("last_series", Integer, nullable=False),
)

scalar_producers = Table(
    "scalar_producers",
    metadata,
    Column("task_id", String(64), primary_key=True),
    Column("attempt", BigInteger, primary_key=True),
    Column("producer", String(128), primary_key=True),
    Column("committed_sequence", BigInteger, nullable=False),
)

# NaN is kept as NULL: SQLite knows no NaN.
scalar_series = Table(
    "scalar_series",
    metadata,
    Column("task_id", String(64), primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("variant", Text, primary_key=True),
    Column("series", Integer, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("last_value", Float),
    Column("last_iteration", BigInteger, nullable=False),
    Column("min_value", Float),
    Column("min_iteration", BigInteger, nullable=False),
    Column("max_value", Float),
    Column("max_iteration", BigInteger, nullable=False),
)

scalar_chunks = Table(
    "scalar_chunks",
    metadata,
    Column("task_id", String(64), primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("attempt", BigInteger, nullable=False),
    Column("series", Integer, nullable=False),
    Column("count", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("ix_scalar_chunks_series", "task_id", "series", "position"),
)
