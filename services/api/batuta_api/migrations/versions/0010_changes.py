"""The trail of changes. The database itself keeps it append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_YOUNG_SQLITE = "OLD.time > (CAST(strftime('%s', 'now') AS INTEGER) - 2592000) * 1000000"
_YOUNG_POSTGRESQL = "OLD.time > (CAST(extract(epoch FROM clock_timestamp()) AS BIGINT) - 2592000) * 1000000"


def upgrade() -> None:
    """Add the table and its triggers."""
    op.create_table(
        "changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("access_key", sa.Text(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("resource_type", sa.String(64), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(64), nullable=False),
    )
    op.create_index("ix_changes_resource_id", "changes", ["resource_id", "id"])
    op.create_index("ix_changes_subject", "changes", ["subject", "id"])
    op.create_index("ix_changes_time", "changes", ["time"])
    if op.get_bind().dialect.name == "sqlite":
        _sqlite()
    else:
        _postgresql()


def _sqlite() -> None:
    op.execute(
        "CREATE TRIGGER changes_stay BEFORE UPDATE ON changes "
        "BEGIN SELECT RAISE(ABORT, 'the trail of changes is append-only'); END"
    )
    op.execute(
        f"CREATE TRIGGER changes_are_kept BEFORE DELETE ON changes WHEN {_YOUNG_SQLITE} "
        "BEGIN SELECT RAISE(ABORT, 'the trail of changes is kept for 30 days'); END"
    )


def _postgresql() -> None:
    op.execute(
        "CREATE FUNCTION changes_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the trail of changes is append-only, and kept for 30 days'; END $$"
    )
    op.execute("CREATE TRIGGER changes_stay BEFORE UPDATE ON changes FOR EACH ROW EXECUTE FUNCTION changes_refuse()")
    op.execute(
        "CREATE TRIGGER changes_are_kept BEFORE DELETE ON changes FOR EACH ROW "
        f"WHEN ({_YOUNG_POSTGRESQL}) EXECUTE FUNCTION changes_refuse()"
    )
    op.execute(
        "CREATE TRIGGER changes_are_not_emptied BEFORE TRUNCATE ON changes "
        "FOR EACH STATEMENT EXECUTE FUNCTION changes_refuse()"
    )
