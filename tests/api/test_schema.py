"""The migrations make the schema that the code expects."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from batuta_api import __main__ as main
from batuta_api.wiring import METADATA
from batuta_chassis.migrations import migrate


def test_the_migrations_lead_to_the_tables(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'api.db'}")
    migrate(engine, Path(main.__file__).parent / "migrations")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()
