"""Schema history: one Alembic history per service, in a folder beside its tables.

A service calls `migrate` before it serves. Its folder holds `versions/` and an `env.py` of two lines:

    from batuta_chassis.migrations import run_env
    run_env(metadata)
"""

from __future__ import annotations

from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, Engine, MetaData


def migrate(engine: Engine, script_location: str | Path, revision: str = "head") -> None:
    """Bring the schema to `revision` in one transaction: either all of it arrives or none."""
    config = Config()
    config.set_main_option("script_location", str(script_location).replace("%", "%%"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def run_env(metadata: MetaData) -> None:
    """What a service's `env.py` does: run the migrations on the connection that `migrate` opened."""
    connection = context.config.attributes.get("connection")
    if not isinstance(connection, Connection):
        raise RuntimeError("run migrations through batuta_chassis.migrations.migrate, which opens the database")
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    context.run_migrations()
