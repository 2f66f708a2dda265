"""The queue service's tables. Times are milliseconds since 1970; enums are the contract's numbers."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    text,
)

from batuta_chassis.members import members_table
from batuta_chassis.requests import requests_table

metadata = MetaData()
requests = requests_table(metadata)
members = members_table(metadata)

_id = String(64)
_agent = String(128)

queues = Table(
    "queues",
    metadata,
    Column("id", _id, primary_key=True),
    Column("name", String(256), nullable=False, unique=True),
    Column("lease_policy", Integer, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("create_millis", BigInteger, nullable=False),
    Column("pause_millis", BigInteger),
    Column("paused_by", String(256)),
    Column("description", String, nullable=False, server_default=""),
)

entries = Table(
    "entries",
    metadata,
    Column("id", _id, primary_key=True),
    Column("task_id", _id, nullable=False),
    Column("queue_id", _id, nullable=False),
    Column("state", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("not_before_millis", BigInteger, nullable=False),
    Column("enqueue_millis", BigInteger, nullable=False),
    Column("end_millis", BigInteger),
    Column("owner", String(128), nullable=False),
    Column("project_id", _id, nullable=False),
    Column("cpus", Float, nullable=False),
    Column("memory_bytes", BigInteger, nullable=False),
    Column("gpus", Integer, nullable=False),
    Column("policy", Integer, nullable=False),
    Column("max_losses", Integer, nullable=False),
    Column("max_failures", Integer, nullable=False, server_default="0"),
    Column("time_limit_millis", BigInteger),
    Column("attempt", BigInteger, nullable=False),
    Column("agent_id", _agent, nullable=False),
    Column("hold_reason", String, nullable=False),
    Column("losses", Integer, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("preemptions", Integer, nullable=False, server_default="0"),
    Column("last_position", BigInteger, nullable=False, server_default="0"),
    Column("wait_millis", BigInteger, nullable=False, server_default="0"),
    Column("last_lost_agent", _agent, nullable=False),
    Column("cancel_reason", Integer),
    Column("cancel_grace_millis", BigInteger),
    Column("traceparent", String(64), nullable=False, server_default=""),
    Column("payload_media_type", String(256), nullable=False),
    # Last, so that what stands before it is read without it.
    Column("payload", LargeBinary, nullable=False),
)

# Claims read this index and nothing else of the queue, however long its history is.
Index(
    "entries_waiting",
    entries.c.queue_id,
    entries.c.priority.desc(),
    entries.c.position,
    sqlite_where=text("state = 10"),
    postgresql_where=text("state = 10"),
)
Index(
    "entries_live",
    entries.c.queue_id,
    entries.c.priority.desc(),
    entries.c.position,
    entries.c.state,
    sqlite_where=text("state < 50"),
    postgresql_where=text("state < 50"),
)
Index(
    "entries_ended",
    entries.c.end_millis,
    sqlite_where=text("state >= 50"),
    postgresql_where=text("state >= 50"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("task_id", _id, nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("entry_id", _id, nullable=False),
    Column("agent_id", _agent, nullable=False),
    Column("host", String(256), nullable=False),
    Column("journal_id", _id, nullable=False),
    Column("boot_id", _id, nullable=False),
    Column("phase", Integer, nullable=False),
    Column("offer_millis", BigInteger, nullable=False),
    Column("accept_millis", BigInteger),
    Column("end_millis", BigInteger),
    Column("last_position", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("task_id", "attempt"),
    sqlite_with_rowid=False,
)
Index(
    "attempts_open",
    attempts.c.journal_id,
    sqlite_where=text("phase < 60"),
    postgresql_where=text("phase < 60"),
)

agents = Table(
    "agents",
    metadata,
    Column("id", _agent, primary_key=True),
    Column("instance_id", _id, nullable=False),
    Column("journal_id", _id, nullable=False),
    Column("boot_id", _id, nullable=False),
    Column("host", String(256), nullable=False),
    Column("version", String(64), nullable=False),
    Column("queue_ids", JSON, nullable=False),
    Column("max_assignments", Integer, nullable=False),
    Column("connect_millis", BigInteger, nullable=False),
    Column("heartbeat_millis", BigInteger, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("capabilities", JSON, nullable=False),
    Column("capacity", JSON, nullable=False),
    Column("gpus", JSON, nullable=False),
    Column("drain_reason", String),
    Column("drain_request_millis", BigInteger),
    Column("drain_deadline_millis", BigInteger),
    Column("leave_millis", BigInteger),
)

placements = Table(
    "placements",
    metadata,
    Column("agent_id", _agent, primary_key=True),
    Column("journal_id", _id, nullable=False, index=True),
    Column("instance_id", _id, nullable=False),
    Column("host", String(256), nullable=False),
    Column("owner", _id, nullable=False, index=True),
    Column("session_id", _id, nullable=False),
    Column("view", LargeBinary),
)
"""Where agents are, for brokers that share a database."""

journals = Table(
    "journals",
    metadata,
    Column("id", _id, primary_key=True),
    Column("report_number", BigInteger, nullable=False),
)

log = Table(
    "event_log",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("epoch", _id, nullable=False),
    Column("head", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
)

history = Table(
    "history",
    metadata,
    Column("subject", String(200), nullable=False),
    Column("tier", Integer, nullable=False),
    Column("slot", Integer, nullable=False),
    Column("time_millis", BigInteger, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("means", LargeBinary, nullable=False),
    Column("peaks", LargeBinary),
    Column("names", String),
    Column("waits", String),
    # By time first: what is stored together stands together.
    PrimaryKeyConstraint("tier", "slot", "subject"),
    sqlite_with_rowid=False,
)
"""Rings of points: a row is written over when its slot comes round. `peaks` is absent where it is `means`."""

events = Table(
    "events",
    metadata,
    Column("position", Integer().with_variant(BigInteger, "postgresql"), primary_key=True, autoincrement=False),
    Column("entry_id", _id, nullable=False),
    Column("task_id", _id, nullable=False),
    Column("entry_state", Integer, nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("phase", Integer, nullable=False),
    Column("event_millis", BigInteger, nullable=False),
    Column("agent_id", _agent, nullable=False),
    Column("host", String(256), nullable=False),
    Column("reason_name", String(256)),
    Column("reason_message", String),
    Column("reason_code", Integer),
    Column("reason_status", LargeBinary),
    Column("exit_code", Integer),
    Column("signal", Integer),
    Column("tails", JSON(none_as_null=True)),
    Column("queue_id", _id, nullable=False, server_default=""),
)
