"""Several API processes on one database: who they are, and which of them delivers a message."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, and whose each message is."""
    op.create_table(
        "members",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("address", sa.String(1024), nullable=False),
        sa.Column("beats", sa.BigInteger(), nullable=False),
    )
    op.add_column("outbox", sa.Column("owner", sa.String(64), nullable=False, server_default=""))
    op.create_index("ix_outbox_owner", "outbox", ["owner"])


def downgrade() -> None:
    """Remove them."""
    op.drop_index("ix_outbox_owner", "outbox")
    op.drop_column("outbox", "owner")
    op.drop_table("members")
