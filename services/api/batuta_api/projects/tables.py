"""Tables of projects."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, String, Table, Text, false

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
    Column("closed", Boolean, nullable=False, server_default=false()),
    Index("ix_projects_closed", "closed"),
)

project_members = Table(
    "project_members",
    metadata,
    Column("project_id", String(64), primary_key=True),
    Column("user_name", Text().with_variant(Text(collation="C"), "postgresql"), primary_key=True),
    Column("role", String(16), nullable=False),
)
