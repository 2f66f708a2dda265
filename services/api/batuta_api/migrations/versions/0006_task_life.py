"""Archiving, deletion, containers, a number for every change, and parameters that lists filter by."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from batuta_api.tasks import sort_keys

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ROWS = 500


def upgrade() -> None:
    """Add columns and table; tasks of before are numbered in the order of their creation."""
    for column in (
        sa.Column("container", sa.Text(), nullable=False, server_default="{}"),
        sa.Column("archive_time", sa.BigInteger(), nullable=True),
        sa.Column("delete_time", sa.BigInteger(), nullable=True),
        sa.Column("purge_time", sa.BigInteger(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False, server_default="0"),
    ):
        op.add_column("tasks", column)
    op.execute(
        "UPDATE tasks SET revision = numbered.n FROM "
        "(SELECT id, row_number() OVER (ORDER BY create_time, id) AS n FROM tasks) AS numbered "
        "WHERE tasks.id = numbered.id"
    )
    op.create_index("ix_tasks_revision", "tasks", ["revision"])
    op.create_index("ix_tasks_purge", "tasks", ["purge_time"])
    key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    made = op.create_table(
        "task_parameters",
        sa.Column("task_id", sa.String(64), nullable=False),
        sa.Column("section", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("key", key, nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_task_parameters_task_id"),
        sa.PrimaryKeyConstraint("task_id", "section", "name", name="pk_task_parameters"),
    )
    _fill(made)
    op.create_index("ix_task_parameters_key", "task_parameters", ["section", "name", "key"])


def _fill(parameters: sa.Table) -> None:
    connection = op.get_bind()
    definitions = sa.table("task_definitions", sa.column("task_id"), sa.column("parameters"))
    last = ""
    while True:
        query = sa.select(definitions).where(definitions.c.task_id > last).order_by(definitions.c.task_id).limit(_ROWS)
        found = connection.execute(query).all()
        if not found:
            return
        last = found[-1].task_id
        rows = [
            {
                "task_id": row.task_id,
                "section": section,
                "name": name,
                "value": value[: sort_keys.KEPT],
                "key": sort_keys.of_value(value),
            }
            for row in found
            for section, name, value, *_ in json.loads(row.parameters)
        ]
        if rows:
            connection.execute(sa.insert(parameters), rows)
