"""Tables of projects."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table, Text

from batuta_api.schema import Moment, metadata

projects = Table(
    "projects",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("display_name", Text, nullable=False, unique=True),
    Column("description", Text, nullable=False),
    Column("create_time", Moment, nullable=False),
    Column("default_output_uri", Text, nullable=False, server_default=""),
    Column("update_time", Moment),
)
