"""The first schema: projects, tasks, logs, scalars, credentials, refusals, messages on their way, answered requests."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables."""
    _users()
    _projects()
    _tasks()
    _task_parts()
    _logs()
    _scalars()
    _messages()


def _users() -> None:
    op.create_table(
        "credentials",
        sa.Column("access_key", sa.String(length=128), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("last_use_time", sa.BigInteger(), nullable=True),
        sa.Column("revoke_time", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("access_key", name="pk_credentials"),
    )
    op.create_index("ix_credentials_newest", "credentials", ["create_time", "access_key"], unique=False)
    op.create_index("ix_credentials_subject", "credentials", ["subject"], unique=False)
    op.create_table(
        "join_tokens",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=False),
        sa.Column("spend_time", sa.BigInteger(), nullable=True),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name="pk_join_tokens"),
    )
    op.create_index("ix_join_tokens_expire_time", "join_tokens", ["expire_time"], unique=False)


def _projects() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("display_name", name="uq_projects_display_name"),
    )


def _tasks() -> None:
    op.create_table("tasks", *_task_head(), *_task_status(), sa.PrimaryKeyConstraint("id", name="pk_tasks"))
    op.create_index("ix_tasks_name_newest", "tasks", ["display_name", "create_time", "id"], unique=False)
    op.create_index("ix_tasks_newest", "tasks", ["create_time", "id"], unique=False)
    op.create_index("ix_tasks_project_newest", "tasks", ["project_name", "create_time", "id"], unique=False)
    op.create_index("ix_tasks_state_newest", "tasks", ["state", "create_time", "id"], unique=False)


def _task_head() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("project_name", sa.Text(), nullable=False),
        sa.Column("type", sa.Integer(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("parent_task_id", sa.String(length=64), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("python_version", sa.Text(), nullable=False),
        sa.Column("requirements", sa.Text(), nullable=False),
        sa.Column("cpus", sa.Float(), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column("gpus", sa.Integer(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
    ]


def _task_status() -> list[sa.Column[Any]]:
    return [
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("attempt_open", sa.Boolean(), nullable=False),
        sa.Column("phase", sa.Integer(), nullable=False),
        sa.Column("local", sa.Boolean(), nullable=False),
        sa.Column("entry_id", sa.String(length=64), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("queue_id", sa.String(length=64), nullable=False),
        sa.Column("queue_name", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("signal", sa.Integer(), nullable=True),
        sa.Column("last_iteration", sa.BigInteger(), nullable=True),
        sa.Column("enqueue_time", sa.BigInteger(), nullable=True),
        sa.Column("start_time", sa.BigInteger(), nullable=True),
        sa.Column("end_time", sa.BigInteger(), nullable=True),
        sa.Column("last_proof_time", sa.BigInteger(), nullable=True),
    ]


def _task_parts() -> None:
    op.create_table(
        "task_definitions",
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("repository_url", sa.Text(), nullable=False),
        sa.Column("branch", sa.Text(), nullable=False),
        sa.Column("commit", sa.String(length=64), nullable=False),
        sa.Column("diff", sa.Text(), nullable=False),
        sa.Column("entry_point", sa.Text(), nullable=False),
        sa.Column("working_directory", sa.Text(), nullable=False),
        sa.Column("script", sa.Text(), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_task_definitions_task_id"),
        sa.PrimaryKeyConstraint("task_id", name="pk_task_definitions"),
    )
    op.create_table(
        "task_tags",
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_task_tags_task_id"),
        sa.PrimaryKeyConstraint("tag", "task_id", name="pk_task_tags"),
    )
    op.create_index("ix_task_tags_task_id", "task_tags", ["task_id"], unique=False)
    op.create_table(
        "attempt_tails",
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("producer", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_attempt_tails_task_id"),
        sa.PrimaryKeyConstraint("task_id", "attempt", "producer", "kind", name="pk_attempt_tails"),
    )
    op.create_table(
        "event_cursor",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("log_epoch", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_event_cursor"),
    )


def _logs() -> None:
    op.create_table(
        "log_tasks",
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("last_position", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", name="pk_log_tasks"),
    )
    op.create_table(
        "log_streams",
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("producer", sa.String(length=128), nullable=False),
        sa.Column("committed_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "attempt", "producer", name="pk_log_streams"),
    )
    op.create_table(
        "log_chunks",
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("producer", sa.String(length=128), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("time_unix_millis", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "position", name="pk_log_chunks"),
    )


def _scalars() -> None:
    op.create_table(
        "scalar_tasks",
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("last_position", sa.BigInteger(), nullable=False),
        sa.Column("last_series", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", name="pk_scalar_tasks"),
    )
    op.create_table(
        "scalar_producers",
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("producer", sa.String(length=128), nullable=False),
        sa.Column("committed_sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "attempt", "producer", name="pk_scalar_producers"),
    )
    op.create_table(
        "scalar_series",
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("series", sa.Integer(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("last_value", sa.Float(), nullable=True),
        sa.Column("last_iteration", sa.BigInteger(), nullable=False),
        sa.Column("min_value", sa.Float(), nullable=True),
        sa.Column("min_iteration", sa.BigInteger(), nullable=False),
        sa.Column("max_value", sa.Float(), nullable=True),
        sa.Column("max_iteration", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "metric", "variant", name="pk_scalar_series"),
    )
    op.create_table(
        "scalar_chunks",
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("series", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "position", name="pk_scalar_chunks"),
    )
    op.create_index("ix_scalar_chunks_series", "scalar_chunks", ["task_id", "series", "position"], unique=False)


def _messages() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_task", "audit", ["task_id", "id"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("topic", sa.String(length=128), nullable=False),
        sa.Column("ordering_key", sa.String(length=128), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "requests",
        sa.Column("caller", sa.String(length=256), nullable=False),
        sa.Column("method", sa.String(length=128), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "method", "request_id", name="pk_requests"),
        sqlite_with_rowid=False,
    )
    op.create_index("requests_by_time", "requests", ["create_time"], unique=False)
