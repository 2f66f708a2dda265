"""Schema history: one Alembic history per service, in a folder beside its tables.

A service calls `migrate` before it serves. Its folder holds `versions/` and an `env.py` of two lines:

    from batuta_chassis.migrations import run_env
    run_env(metadata)
"""

from __future__ import annotations

from pathlib import Path

from alembic import command, context
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, MetaData
from sqlalchemy.exc import DatabaseError, OperationalError

from batuta_chassis.settings import SettingsError


def migrate(engine: Engine, script_location: str | Path, revision: str = "head") -> None:
    """Bring the schema to `revision` in one transaction: either all of it arrives or none.

    Raises `SettingsError` for a database that cannot be used: no database, damaged, locked, or of a newer release.
    """
    config = Config()
    config.set_main_option("script_location", str(script_location).replace("%", "%%"))
    try:
        with _connected(engine) as connection, connection.begin():
            if connection.dialect.name == "postgresql":  # the limit of a call is not that of a large table's change
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except (DatabaseError, CommandError) as error:
        cause = error.orig if isinstance(error, DatabaseError) else error
        raise SettingsError(
            f"cannot use the database {engine.url.render_as_string(hide_password=True)} ({cause}). Is it of this "
            "release, whole, and nobody else's? A copy of it can be put back in its place"
        ) from error


def _connected(engine: Engine) -> Connection:
    """A connection. Raises `SettingsError` when a server does not take one: that says nothing of what it holds."""
    try:
        return engine.connect()
    except OperationalError as error:
        if engine.dialect.name != "postgresql":
            raise
        raise SettingsError(
            f"cannot reach the database {engine.url.render_as_string(hide_password=True)} "
            f"({' '.join(str(error.orig).split())}). Does the server run, and are address, user and password right?"
        ) from error


def run_env(metadata: MetaData) -> None:
    """What a service's `env.py` does: run the migrations on the connection that `migrate` opened."""
    connection = context.config.attributes.get("connection")
    if not isinstance(connection, Connection):
        raise RuntimeError("run migrations through batuta_chassis.migrations.migrate, which opens the database")
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    context.run_migrations()
