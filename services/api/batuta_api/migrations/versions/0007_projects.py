"""Where the tasks of a project put their artifacts, and when a project last changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("projects", sa.Column("default_output_uri", sa.Text(), nullable=False, server_default=""))
    op.add_column("projects", sa.Column("update_time", sa.BigInteger(), nullable=True))
