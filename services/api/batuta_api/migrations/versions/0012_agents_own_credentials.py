"""Credentials that are good for one agent only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Those made so far stay good for whichever agent runs with them."""
    op.add_column("credentials", sa.Column("agent_id", sa.Text(), nullable=False, server_default=""))
