"""Projects that are closed to all but their members."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Every project is open so far."""
    op.add_column("projects", sa.Column("closed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("ix_projects_closed", "projects", ["closed"])
    op.create_table(
        "project_members",
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("user_name", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "user_name", name="pk_project_members"),
    )
