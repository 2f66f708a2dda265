"""How often a task is tried again, and with what priority it was queued."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; tasks of before leave it to their queue, and were queued with priority 0."""
    for column in (
        sa.Column("lease_policy", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("max_losses", sa.Integer(), nullable=True),
        sa.Column("max_failures", sa.Integer(), nullable=True),
        sa.Column("time_limit_millis", sa.BigInteger(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False, server_default="0"),
    ):
        op.add_column("tasks", column)
