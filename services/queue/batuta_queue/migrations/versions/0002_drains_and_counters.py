"""Drains of agents, a counter for each kind of end, and where the newest event of an entry stands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Rows from before have no failures, no drains and no known newest event."""
    for name in ("max_failures", "failures", "preemptions"):
        op.add_column("entries", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    for table in ("entries", "attempts"):
        op.add_column(table, sa.Column("last_position", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("agents", sa.Column("drain_reason", sa.String(), nullable=True))
    for name in ("drain_request_millis", "drain_deadline_millis", "leave_millis"):
        op.add_column("agents", sa.Column(name, sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Remove the columns."""
    for name in ("leave_millis", "drain_deadline_millis", "drain_request_millis", "drain_reason"):
        op.drop_column("agents", name)
    for table in ("attempts", "entries"):
        op.drop_column(table, "last_position")
    for name in ("preemptions", "failures", "max_failures"):
        op.drop_column("entries", name)
