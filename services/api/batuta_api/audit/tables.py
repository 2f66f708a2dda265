"""Tables of refusals and of changes."""

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

changes = Table(
    "changes",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("time", Moment, nullable=False),
    Column("subject", Text, nullable=False),
    Column("access_key", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("resource_type", String(64), nullable=False),
    Column("resource_id", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("outcome", String(64), nullable=False),
    Index("ix_changes_resource_id", "resource_id", "id"),
    Index("ix_changes_subject", "subject", "id"),
    Index("ix_changes_time", "time"),
)
"""Append-only: triggers of the migration refuse every update, and deletes of what is younger than 30 days."""
