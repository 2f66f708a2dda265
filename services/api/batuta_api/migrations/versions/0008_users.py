"""Users, one for everybody who has a credential of people's roles, and credentials that end by themselves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_LEVELS = ("viewer", "member", "admin")


def upgrade() -> None:
    """Add the table and its rows: a user's role is the highest of the credentials that are not revoked."""
    op.add_column("credentials", sa.Column("expire_time", sa.BigInteger(), nullable=True))
    op.create_index("ix_credentials_revoke_time", "credentials", ["revoke_time"])
    made = op.create_table(
        "users",
        sa.Column("name", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("disable_time", sa.BigInteger(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("epoch_time", sa.BigInteger(), nullable=True),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_users"),
    )
    op.create_index("ix_users_epoch_time", "users", ["epoch_time"])
    _fill(made)


def _fill(users: sa.Table) -> None:
    held = sa.table(
        "credentials", sa.column("subject"), sa.column("roles"), sa.column("create_time"), sa.column("revoke_time")
    )
    best: dict[str, int] = {}
    since: dict[str, int] = {}
    for row in op.get_bind().execute(sa.select(held)).all():
        levels = [_LEVELS.index(role) for role in row.roles.split() if role in _LEVELS]
        if levels and not row.subject.startswith("agent:"):
            level = max(levels) if row.revoke_time is None else 0
            best[row.subject] = max(level, best.get(row.subject, 0))
            since[row.subject] = min(row.create_time, since.get(row.subject, row.create_time))
    rows = [
        {
            "name": name,
            "role": _LEVELS[level],
            "create_time": since[name],
            "display_name": "",
            "password_hash": "",
            "epoch": 0,
            "generation": 1,
        }
        for name, level in sorted(best.items())
    ]
    if rows:
        op.get_bind().execute(sa.insert(users), rows)
