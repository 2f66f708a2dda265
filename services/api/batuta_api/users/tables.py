"""Tables of credentials and join tokens."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, String, Table, Text

from batuta_api.schema import Moment, metadata

credentials = Table(
    "credentials",
    metadata,
    Column("access_key", String(128), primary_key=True),
    Column("secret_hash", LargeBinary(32), nullable=False),
    Column("subject", Text, nullable=False, index=True),
    Column("roles", Text, nullable=False),  # names, separated by spaces
    Column("comment", Text, nullable=False),
    Column("create_time", Moment, nullable=False),
    Column("last_use_time", Moment),
    Column("revoke_time", Moment),
    Index("ix_credentials_newest", "create_time", "access_key"),
)

join_tokens = Table(
    "join_tokens",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("comment", Text, nullable=False),
    Column("create_time", Moment, nullable=False),
    Column("expire_time", Moment, nullable=False, index=True),
    Column("spend_time", Moment),
    Column("agent_id", Text, nullable=False),
)
