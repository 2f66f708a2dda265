"""A refusal that comes again is counted, not written again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; each refusal of before happened once."""
    op.add_column("audit", sa.Column("count", sa.BigInteger(), nullable=False, server_default="1"))
    op.add_column("audit", sa.Column("last_time", sa.BigInteger(), nullable=True))
