"""The schema history leads to the tables that the code uses."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from batuta_chassis.database import Database, sqlite_url
from batuta_chassis.migrations import migrate
from batuta_queue.__main__ import MIGRATIONS
from batuta_queue.model import AttemptPhase, EntryState
from batuta_queue.sql import SqlStore
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


async def test_a_snapshot_reads_entries_by_their_key_and_sorts_nothing(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "queue.db"), metadata, SystemClock())
    try:
        migrate(database.engine, MIGRATIONS)
        query = "EXPLAIN QUERY PLAN SELECT * FROM entries WHERE state < 50 AND id > 'x' ORDER BY id LIMIT 500"
        with database.engine.connect() as connection:
            plan = " ".join(row[3] for row in connection.execute(text(query)))
        assert "TEMP B-TREE" not in plan
        assert "id>?" in plan
    finally:
        await database.close()


async def test_what_an_earlier_release_stored_goes_on(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "queue.db"), metadata, SystemClock())
    try:
        migrate(database.engine, MIGRATIONS, "0001")
        with database.engine.begin() as connection:
            connection.execute(text(_OLD_LOG))
            connection.execute(text(_OLD_ENTRY))
            connection.execute(text(_OLD_ATTEMPT))
            connection.execute(text(_OLD_AGENT))
        migrate(database.engine, MIGRATIONS)
        with database.engine.connect() as connection:
            store = SqlStore(connection, SystemClock())
            entry, agent = store.entry("e1"), store.agent("a1")
            assert entry is not None
            assert (entry.max_failures, entry.failures, entry.preemptions) == (0, 0, 0)
            assert agent is not None
            assert (agent.drain, agent.leave_millis) == (None, None)
            # Where the newest event stands was not kept then, so it is made up from the rows.
            (event,) = store.live_events("", 10)
            assert (event.entry_id, event.entry_state, event.attempt, event.phase, event.agent_id) == (
                "e1",
                EntryState.RUNNING,
                3,
                AttemptPhase.RUNNING,
                "a1",
            )
    finally:
        await database.close()


_OLD_LOG = "INSERT INTO event_log (id, epoch, head, first) VALUES (1, 'epoch', 9, 1)"
_OLD_ENTRY = """
INSERT INTO entries (id, task_id, queue_id, state, priority, position, not_before_millis, enqueue_millis, owner,
  project_id, cpus, memory_bytes, gpus, policy, max_losses, attempt, agent_id, hold_reason, losses, last_lost_agent,
  payload_media_type, payload)
VALUES ('e1', 't1', 'q', 40, 0, 7, 0, 1000, '', '', 0, 0, 0, 1, 3, 3, 'a1', '', 0, '', '', x'00')
"""
_OLD_ATTEMPT = """
INSERT INTO attempts (task_id, attempt, entry_id, agent_id, host, journal_id, boot_id, phase, offer_millis,
  accept_millis)
VALUES ('t1', 3, 'e1', 'a1', 'h', 'j', 'b', 40, 2000, 2500)
"""
_OLD_AGENT = """
INSERT INTO agents (id, instance_id, journal_id, boot_id, host, version, queue_ids, max_assignments, connect_millis,
  heartbeat_millis, labels, capabilities, capacity, gpus)
VALUES ('a1', 'i', 'j', 'b', 'h', '0.1.0', '["q"]', 1, 1, 1, '{}', '[]',
  '{"cpus": 0, "memory_bytes": 0, "gpus": 0}', '[]')
"""
