"""What was seen of queues and agents over time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table. Histories begin with it."""
    op.create_table(
        "history",
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("tier", sa.Integer(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("time_millis", sa.BigInteger(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("means", sa.LargeBinary(), nullable=False),
        sa.Column("peaks", sa.LargeBinary()),
        sa.Column("names", sa.String()),
        sa.Column("waits", sa.String()),
        sa.PrimaryKeyConstraint("tier", "slot", "subject"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("history")
