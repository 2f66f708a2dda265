"""The first schema: queues, entries, attempts, agents, journals, the event log, answered requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables."""
    _make_agents()
    _make_attempts()
    _make_entries()
    _make_entries_indexes()
    _make_event_log()
    _make_events()
    _make_journals()
    _make_queues()
    _make_requests()


def downgrade() -> None:
    """Remove all tables."""
    for table in (
        "requests",
        "queues",
        "journals",
        "events",
        "event_log",
        "entries",
        "attempts",
        "agents",
    ):
        op.drop_table(table)


def _make_agents() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("instance_id", sa.String(length=64), nullable=False),
        sa.Column("journal_id", sa.String(length=64), nullable=False),
        sa.Column("boot_id", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=256), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("queue_ids", sa.JSON(), nullable=False),
        sa.Column("max_assignments", sa.Integer(), nullable=False),
        sa.Column("connect_millis", sa.BigInteger(), nullable=False),
        sa.Column("heartbeat_millis", sa.BigInteger(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("capabilities", sa.JSON(), nullable=False),
        sa.Column("capacity", sa.JSON(), nullable=False),
        sa.Column("gpus", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _make_attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.String(length=64), nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("host", sa.String(length=256), nullable=False),
        sa.Column("journal_id", sa.String(length=64), nullable=False),
        sa.Column("boot_id", sa.String(length=64), nullable=False),
        sa.Column("phase", sa.Integer(), nullable=False),
        sa.Column("offer_millis", sa.BigInteger(), nullable=False),
        sa.Column("accept_millis", sa.BigInteger(), nullable=True),
        sa.Column("end_millis", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("task_id", "attempt"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "attempts_open",
        "attempts",
        ["journal_id"],
        unique=False,
        sqlite_where=sa.text("phase < 60"),
        postgresql_where=sa.text("phase < 60"),
    )


def _make_entries() -> None:
    op.create_table(
        "entries",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("queue_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("not_before_millis", sa.BigInteger(), nullable=False),
        sa.Column("enqueue_millis", sa.BigInteger(), nullable=False),
        sa.Column("end_millis", sa.BigInteger(), nullable=True),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("cpus", sa.Float(), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column("gpus", sa.Integer(), nullable=False),
        sa.Column("policy", sa.Integer(), nullable=False),
        sa.Column("max_losses", sa.Integer(), nullable=False),
        sa.Column("time_limit_millis", sa.BigInteger(), nullable=True),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("hold_reason", sa.String(), nullable=False),
        sa.Column("losses", sa.Integer(), nullable=False),
        sa.Column("last_lost_agent", sa.String(length=128), nullable=False),
        sa.Column("cancel_reason", sa.Integer(), nullable=True),
        sa.Column("cancel_grace_millis", sa.BigInteger(), nullable=True),
        sa.Column("payload_media_type", sa.String(length=256), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _make_entries_indexes() -> None:
    op.create_index(
        "entries_ended",
        "entries",
        ["end_millis"],
        unique=False,
        sqlite_where=sa.text("state >= 50"),
        postgresql_where=sa.text("state >= 50"),
    )
    op.create_index(
        "entries_live",
        "entries",
        ["queue_id", sa.literal_column("priority DESC"), "position", "state"],
        unique=False,
        sqlite_where=sa.text("state < 50"),
        postgresql_where=sa.text("state < 50"),
    )
    op.create_index(
        "entries_waiting",
        "entries",
        ["queue_id", sa.literal_column("priority DESC"), "position"],
        unique=False,
        sqlite_where=sa.text("state = 10"),
        postgresql_where=sa.text("state = 10"),
    )


def _make_event_log() -> None:
    op.create_table(
        "event_log",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.String(length=64), nullable=False),
        sa.Column("head", sa.BigInteger(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _make_events() -> None:
    op.create_table(
        "events",
        sa.Column(
            "position", sa.Integer().with_variant(sa.BigInteger(), "postgresql"), autoincrement=False, nullable=False
        ),
        sa.Column("entry_id", sa.String(length=64), nullable=False),
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("entry_state", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("phase", sa.Integer(), nullable=False),
        sa.Column("event_millis", sa.BigInteger(), nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("host", sa.String(length=256), nullable=False),
        sa.Column("reason_name", sa.String(length=256), nullable=True),
        sa.Column("reason_message", sa.String(), nullable=True),
        sa.Column("reason_code", sa.Integer(), nullable=True),
        sa.Column("reason_status", sa.LargeBinary(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("signal", sa.Integer(), nullable=True),
        sa.Column("tails", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("position"),
    )


def _make_journals() -> None:
    op.create_table(
        "journals",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("report_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _make_queues() -> None:
    op.create_table(
        "queues",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("lease_policy", sa.Integer(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("create_millis", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )


def _make_requests() -> None:
    op.create_table(
        "requests",
        sa.Column("caller", sa.String(length=256), nullable=False),
        sa.Column("method", sa.String(length=128), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "method", "request_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("requests_by_time", "requests", ["create_time"], unique=False)
