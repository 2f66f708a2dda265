"""Entries move between queues, and each event says in which one its entry is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. Events from before name no queue."""
    op.add_column("events", sa.Column("queue_id", sa.String(64), nullable=False, server_default=""))


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("events", "queue_id")
