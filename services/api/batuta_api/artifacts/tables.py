"""Tables of artifacts."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from batuta_api.schema import Moment, metadata

# Bytes decide what comes first, as they do in Python and SQLite.
_Key = Text().with_variant(Text(collation="C"), "postgresql")

artifacts = Table(
    "artifacts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("task_id", String(64), nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("name", _Key, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("labels", Text, nullable=False),  # JSON list of pairs
    Column("preview", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("store", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("creator", Text, nullable=False),
    Column("create_time", Moment, nullable=False),
    Column("expire_time", Moment),
    Index("ix_artifacts_name", "task_id", "name", "attempt", unique=True),
    Index("ix_artifacts_expire", "expire_time"),
)

artifact_uploads = Table(
    "artifact_uploads",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("task_id", String(64), nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("mark", String(64), nullable=False),
    Column("store", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("touch_time", Moment, nullable=False),
    Column("sha256", String(64), nullable=False),
    Index("ix_artifact_uploads_task", "task_id"),
    Index("ix_artifact_uploads_touch", "touch_time"),
)

# Bytes that no row names any more, and when they may go.
artifact_discards = Table(
    "artifact_discards",
    metadata,
    Column("store", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("due_time", Moment, nullable=False),
    Index("ix_artifact_discards_due", "due_time"),
)
