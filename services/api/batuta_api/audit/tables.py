"""Tables of refusals."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from batuta_api.schema import Moment, metadata

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("time", Moment, nullable=False),
    Column("subject", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("task_id", String(64), nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("message", Text, nullable=False),
    Column("count", BigInteger, nullable=False, server_default="1"),
    Column("last_time", Moment),
    Index("ix_audit_task", "task_id", "id"),
)
