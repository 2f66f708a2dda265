"""Entries know the trace that they belong to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. Entries from before belong to no trace."""
    op.add_column("entries", sa.Column("traceparent", sa.String(64), nullable=False, server_default=""))


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("entries", "traceparent")
