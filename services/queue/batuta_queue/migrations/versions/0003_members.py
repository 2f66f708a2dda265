"""Several brokers on one database: who they are, and which of them has which agent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "members",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("address", sa.String(1024), nullable=False),
        sa.Column("beats", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "placements",
        sa.Column("agent_id", sa.String(128), primary_key=True),
        sa.Column("journal_id", sa.String(64), nullable=False),
        sa.Column("instance_id", sa.String(64), nullable=False),
        sa.Column("host", sa.String(256), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("view", sa.LargeBinary()),
    )
    op.create_index("ix_placements_journal_id", "placements", ["journal_id"])
    op.create_index("ix_placements_owner", "placements", ["owner"])


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("placements")
    op.drop_table("members")
