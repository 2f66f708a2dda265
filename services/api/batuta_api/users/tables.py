"""Tables of users, credentials and join tokens."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table, Text

from batuta_api.schema import Moment, metadata

users = Table(
    "users",
    metadata,
    Column("name", Text().with_variant(Text(collation="C"), "postgresql"), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("create_time", Moment, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),  # argon2id with its parameters and its salt; empty: no password
    Column("disable_time", Moment),
    Column("epoch", BigInteger, nullable=False),
    Column("epoch_time", Moment, index=True),
    Column("generation", BigInteger, nullable=False),
)

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
    Column("revoke_time", Moment, index=True),
    Column("expire_time", Moment),
    Column("agent_id", Text, nullable=False, server_default=""),
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
