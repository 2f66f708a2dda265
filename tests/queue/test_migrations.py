"""The schema history leads to the tables that the code uses."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from batuta_chassis.database import Database, sqlite_url
from batuta_chassis.migrations import migrate
from batuta_queue.__main__ import MIGRATIONS
from batuta_queue.tables import metadata
from batuta_rpc.clock import SystemClock


async def test_the_history_leads_to_the_tables(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "queue.db"), metadata, SystemClock())
    try:
        for _ in range(2):
            migrate(database.engine, MIGRATIONS)
        with database.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    finally:
        await database.close()


async def test_claims_read_the_partial_index_and_sort_nothing(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "queue.db"), metadata, SystemClock())
    try:
        migrate(database.engine, MIGRATIONS)
        query = (
            "EXPLAIN QUERY PLAN SELECT * FROM entries WHERE queue_id = 'q' AND state = 10 AND not_before_millis <= 5 "
            "ORDER BY priority DESC, position LIMIT 10"
        )
        with database.engine.connect() as connection:
            plan = " ".join(row[3] for row in connection.execute(text(query)))
        assert "entries_waiting" in plan
        assert "TEMP B-TREE" not in plan
    finally:
        await database.close()
