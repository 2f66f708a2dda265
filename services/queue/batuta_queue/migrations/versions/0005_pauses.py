"""Queues can be paused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Queues from before are not paused."""
    op.add_column("queues", sa.Column("pause_millis", sa.BigInteger(), nullable=True))
    op.add_column("queues", sa.Column("paused_by", sa.String(256), nullable=True))


def downgrade() -> None:
    """Remove the columns."""
    op.drop_column("queues", "paused_by")
    op.drop_column("queues", "pause_millis")
