"""Queues have a description, and entries a time since which they wait."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Entries from before wait since they came."""
    op.add_column("queues", sa.Column("description", sa.String(), nullable=False, server_default=""))
    op.add_column("entries", sa.Column("wait_millis", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE entries SET wait_millis = enqueue_millis WHERE state < 50")


def downgrade() -> None:
    """Remove the columns."""
    op.drop_column("entries", "wait_millis")
    op.drop_column("queues", "description")
