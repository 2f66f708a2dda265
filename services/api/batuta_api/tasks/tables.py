"""Tables of tasks."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from batuta_api.schema import Moment, metadata

tasks = Table(
    "tasks",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("project_name", Text, nullable=False),
    Column("type", Integer, nullable=False),
    Column("comment", Text, nullable=False),
    Column("parent_task_id", String(64), nullable=False),
    Column("tags", Text, nullable=False),  # JSON list
    Column("python_version", Text, nullable=False),
    Column("requirements", Text, nullable=False),  # JSON list
    Column("cpus", Float, nullable=False),
    Column("memory_bytes", BigInteger, nullable=False),
    Column("gpus", Integer, nullable=False),
    Column("lease_policy", Integer, nullable=False, server_default="0"),
    Column("max_losses", Integer),
    Column("max_failures", Integer),
    Column("time_limit_millis", BigInteger),
    Column("create_time", Moment, nullable=False),
    Column("update_time", Moment, nullable=False),
    Column("state", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("attempt_open", Boolean, nullable=False),
    Column("phase", Integer, nullable=False),
    Column("local", Boolean, nullable=False),
    Column("entry_id", String(64), nullable=False),
    Column("settled", Boolean, nullable=False),
    Column("queue_id", String(64), nullable=False),
    Column("queue_name", Text, nullable=False),
    Column("agent_id", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("exit_code", Integer),
    Column("signal", Integer),
    Column("last_iteration", BigInteger),
    Column("enqueue_time", Moment),
    Column("start_time", Moment),
    Column("end_time", Moment),
    Column("last_proof_time", Moment),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("container", Text, nullable=False, server_default="{}"),  # JSON of Container
    Column("archive_time", Moment),
    Column("delete_time", Moment),
    Column("purge_time", Moment),
    # Counts the changes of all tasks; each task bears the number of its newest one.
    Column("revision", BigInteger, nullable=False, server_default="0"),
    Index("ix_tasks_revision", "revision"),
    Index("ix_tasks_purge", "purge_time"),
    Index("ix_tasks_newest", "create_time", "id"),
    Index("ix_tasks_project_newest", "project_name", "create_time", "id"),
    Index("ix_tasks_name_newest", "display_name", "create_time", "id"),
    Index("ix_tasks_state_newest", "state", "create_time", "id"),
)

task_definitions = Table(
    "task_definitions",
    metadata,
    Column("task_id", String(64), ForeignKey("tasks.id"), primary_key=True),
    Column("repository_url", Text, nullable=False),
    Column("branch", Text, nullable=False),
    Column("commit", String(64), nullable=False),
    Column("diff", Text, nullable=False),
    Column("entry_point", Text, nullable=False),
    Column("working_directory", Text, nullable=False),
    Column("script", Text, nullable=False),
    Column("parameters", Text, nullable=False),  # JSON list of [section, name, value, type, description]
)

# Bytes decide what comes first, as they do in Python and SQLite.
_Key = Text().with_variant(Text(collation="C"), "postgresql")

# Values again, for lists that filter by them or are ordered by them; as long as `sort_keys` says.
task_parameters = Table(
    "task_parameters",
    metadata,
    Column("task_id", String(64), ForeignKey("tasks.id"), primary_key=True),
    Column("section", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("key", _Key, nullable=False),
    Index("ix_task_parameters_key", "section", "name", "key"),
)

task_tags = Table(
    "task_tags",
    metadata,
    Column("tag", Text, primary_key=True),
    Column("task_id", String(64), ForeignKey("tasks.id"), primary_key=True, index=True),
)

attempt_tails = Table(
    "attempt_tails",
    metadata,
    Column("task_id", String(64), ForeignKey("tasks.id"), primary_key=True),
    Column("attempt", BigInteger, primary_key=True),
    Column("producer", String(128), primary_key=True),
    Column("kind", Integer, primary_key=True),
    Column("end", BigInteger, nullable=False),
)

task_attempts = Table(
    "task_attempts",
    metadata,
    Column("task_id", String(64), ForeignKey("tasks.id"), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("phase", Integer, nullable=False),
    Column("local", Boolean, nullable=False),
    Column("agent_id", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("exit_code", Integer),
    Column("signal", Integer),
    Column("offer_time", Moment),
    Column("start_time", Moment),
    Column("end_time", Moment),
)

event_cursor = Table(
    "event_cursor",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("log_epoch", String(64), nullable=False),
    Column("position", BigInteger, nullable=False),
)
