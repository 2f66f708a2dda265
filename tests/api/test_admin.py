"""`batuta admin check|gc|migrate` over the tables of both services, whole and damaged, on SQLite and PostgreSQL."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from batuta_api.__main__ import build as build_api
from batuta_chassis import care_command
from batuta_chassis.looking import Target, targets
from batuta_chassis.migrating import alone
from batuta_chassis.settings import SettingsError
from batuta_chassis.testing import running
from batuta_proto.metrics import v1 as metrics
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_queue.__main__ import build as build_queue
from batuta_queue.testing_agent import FakeAgent
from batuta_rpc.clock import SystemClock
from tests.api.conftest import Stubs

DAMAGES: list[tuple[str, str, str]] = [
    ("api", "open attempts", "UPDATE tasks SET attempt_open = true WHERE display_name = 'done'"),
    ("api", "one attempt", "UPDATE task_attempts SET phase = 40, number = 0 WHERE phase >= 60"),
    ("api", "attempt numbers", "UPDATE task_attempts SET number = 9 WHERE phase >= 60"),
    ("api", "queued tasks", "UPDATE tasks SET entry_id = '' WHERE display_name = 'waiting'"),
    (
        "api",
        "one entry",
        "UPDATE tasks SET entry_id = (SELECT entry_id FROM tasks WHERE display_name = 'waiting') "
        "WHERE display_name = 'running'",
    ),
    ("api", "deletions", "UPDATE tasks SET purge_time = NULL WHERE display_name = 'deleted'"),
    ("api", "projects", "UPDATE projects SET display_name = 'other'"),
    (
        "api",
        "definitions",
        "DELETE FROM task_definitions WHERE task_id IN (SELECT id FROM tasks WHERE display_name = 'done')",
    ),
    ("api", "tags", "DELETE FROM task_tags"),
    ("api", "owners of credentials", "DELETE FROM users WHERE name = 'admin'"),
    ("api", "log sizes", "UPDATE log_tasks SET bytes = bytes + 1"),
    ("api", "log streams", "UPDATE log_streams SET committed_offset = committed_offset + 1"),
    ("api", "log places", "UPDATE log_tasks SET last_position = 0"),
    ("api", "points", 'UPDATE scalar_series SET "count" = "count" + 1'),
    ("api", "scalar places", "UPDATE scalar_tasks SET last_position = 0"),
    ("api", "scalar_tasks of tasks", "INSERT INTO scalar_tasks VALUES ('gone', 1, 1)"),
    (
        "api",
        "log_chunks of tasks",
        "INSERT INTO log_chunks SELECT 'gone', position, attempt, producer, \"offset\", "
        "length, time_unix_millis, data FROM log_chunks LIMIT 1",
    ),
    (
        "queue",
        "one attempt",
        "INSERT INTO attempts SELECT task_id, 7, entry_id, agent_id, host, journal_id, boot_id, "
        "40, offer_millis, accept_millis, NULL, last_position FROM attempts WHERE phase < 60",
    ),
    ("queue", "attempt's entry", "UPDATE entries SET state = 10 WHERE state = 40"),
    ("queue", "lease", "UPDATE attempts SET phase = 64, end_millis = 1 WHERE phase < 60"),
    ("queue", "attempt numbers", "UPDATE entries SET attempt = 0 WHERE state = 50"),
    ("queue", "ends", "UPDATE entries SET end_millis = NULL WHERE state = 50"),
    ("queue", "queues", "DELETE FROM queues"),
    ("queue", "event log", "DELETE FROM events WHERE position = 2"),
    ("queue", "places", "UPDATE entries SET position = 1000000 WHERE state = 10"),
    ("queue", "attempts' entries", "DELETE FROM entries WHERE state = 50"),
    ("queue", "budgets", "UPDATE entries SET losses = 5 WHERE state = 40"),
    ("api+queue", "cursor", "api: UPDATE event_cursor SET log_epoch = 'another'"),
    ("api+queue", "cursor", "api: UPDATE event_cursor SET position = position + 100"),
    ("api+queue", "entries", "queue: UPDATE entries SET id = 'stray' WHERE state = 10"),
    ("api+queue", "entries", "queue: UPDATE entries SET state = 50, end_millis = 1 WHERE state = 10"),
    ("api+queue", "entries", "api: UPDATE tasks SET attempt = 5 WHERE display_name = 'running'"),
]


async def fill(folder: Path, **settings: Any) -> None:
    """Have tasks in every kind of state, with logs and scalars, and stop in order."""
    async with running(build_queue, folder, service="queue", **settings) as queue:
        more: dict[str, Any] = {"queue_endpoint": queue.settings.endpoint, **settings}
        async with running(build_api, folder, service="api", **more) as api:
            member = Stubs.on(api.channel("member"))
            found = await member.queues.GetQueue(queues.GetQueueRequest(display_name="default"))
            agent = FakeAgent(queue.channel("agent", subject="agent:a"), [found.queue.id], "a", max_assignments=2)
            await agent.connect()
            await agent.beat(free=2)
            for name in ("done", "running"):
                made = await member.draft(name)
                await member.tasks.TagTask(tasks.TagTaskRequest(task_id=made.id, add=["a", "b"]))
                await member.tasks.EnqueueTask(tasks.EnqueueTaskRequest(task_id=made.id, queue_name="default"))
                got = await agent.next("assignment")
                await agent.accept(got)
                await agent.report(got.ref, types.ATTEMPT_PHASE_RUNNING)
                run = Stubs.on(api.channel(token=got.attempt_token))
                await run.write_log(made.id, 1, b"0123456789")
                column = metrics.ScalarColumn(
                    metric="m", variant="v", values=[1.0], iterations=[1], time_unix_millis=[1]
                )
                await run.metrics.AppendScalars(
                    metrics.AppendScalarsRequest(
                        task_id=made.id, attempt=1, producer="p", first_sequence=1, last_sequence=1, columns=[column]
                    )
                )
                if name == "done":
                    await agent.report(got.ref, types.ATTEMPT_PHASE_SUCCEEDED)
                    await member.until(made.id, lambda seen: seen.status.state == tasks.TASK_STATE_COMPLETED)
                else:
                    await member.until(made.id, lambda seen: seen.status.HasField("start_time"))
            waiting = await member.draft("waiting")
            await agent.beat(free=0)
            await member.queues.PauseQueue(queues.PauseQueueRequest(queue_id=found.queue.id))
            await member.tasks.EnqueueTask(tasks.EnqueueTaskRequest(task_id=waiting.id, queue_name="default"))
            deleted = await member.draft("deleted")
            await member.tasks.DeleteTask(tasks.DeleteTaskRequest(task_id=deleted.id))
            await settled(folder, settings.get("database_url", ""))


async def settled(folder: Path, url: str) -> None:
    """Wait until nothing is on its way between the services."""
    api, queue = (next(each for each in known(folder, url) if each.service == name) for name in ("api", "queue"))
    for _ in range(1000):
        with api.reading() as connection:
            here = api.part.know(connection, 0)
        with queue.reading() as connection:
            log = queue.part.know(connection, 0)
        assert log.place is not None
        if here.place is not None and here.place.position == log.place.position and not here.unsure:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the services did not come to rest")


def arguments(folder: Path, url: str = "", **flags: Any) -> argparse.Namespace:
    plain = {"data": folder, "database_url": url, "config": "", "json": True}
    return argparse.Namespace(**{**plain, **flags})


def known(folder: Path, url: str = "") -> list[Target]:
    return targets(arguments(folder, url), {})


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of both services, stopped."""
    folder = tmp_path_factory.mktemp("filled") / "data"
    asyncio.run(fill(folder))
    return folder


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(filled, tmp_path / "data"))


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], Any]:
    """What a command printed, as JSON."""
    return lambda: json.loads(capsys.readouterr().out)


def damage(data: Path, service: str, statement: str) -> None:
    service, _, statement = statement.partition(": ") if ": " in statement else (service, "", statement)
    with sqlite3.connect(data / f"{service}.db") as connection:
        connection.execute(statement)
    connection.close()


def broken(answer: Any) -> set[tuple[str, str]]:
    return {(each["service"], each["invariant"]) for each in answer["invariants"] if each["break_count"]}


def test_whole_databases_are_proven_whole_and_not_touched(data: Path, said: Any) -> None:
    before = {path.name: path.read_bytes() for path in data.glob("*.db")}
    assert care_command.run_check(arguments(data)) == 0
    answer = said()
    assert (broken(answer), answer["broken_count"]) == (set(), 0)
    assert len(answer["invariants"]) > 35
    assert {path.name: path.read_bytes() for path in data.glob("*.db")} == before


@pytest.mark.parametrize(
    ("service", "name", "statement"), DAMAGES, ids=[f"{each[0]}-{each[1]}-{n}" for n, each in enumerate(DAMAGES)]
)
def test_each_kind_of_damage_is_named(
    data: Path, said: Any, monkeypatch: pytest.MonkeyPatch, service: str, name: str, statement: str
) -> None:
    monkeypatch.setattr("batuta_chassis.proving._PAUSE", 0.0)
    damage(data, service, statement)
    assert care_command.run_check(arguments(data)) == 1
    answer = said()
    assert (service, name) in broken(answer)
    found = next(each for each in answer["invariants"] if (each["service"], each["invariant"]) == (service, name))
    assert all(each["subject"] and each["detail"] for each in found["breaks"])
    assert len(found["breaks"]) == min(20, found["break_count"])


def test_a_file_with_a_damaged_page_is_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = data / "queue.db"
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xa5" * (size // 4))
    assert care_command.run_check(arguments(data)) == 1
    out, err = capsys.readouterr()
    assert "integrity" in out or "cannot be read" in err


def test_the_table_for_people_says_what_is_broken(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batuta_chassis.proving._PAUSE", 0.0)
    damage(data, "api", "UPDATE log_tasks SET bytes = bytes + 1")
    assert care_command.run_check(arguments(data, json=False)) == 1
    out = capsys.readouterr().out
    assert "2 BROKEN" in out
    assert "11 bytes are counted, 10 are there" in out
    assert out.endswith("1 broken.\n")


def test_there_must_be_a_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert care_command.run_check(arguments(tmp_path)) == 1
    assert "Name the data folder with --data" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


async def test_services_that_run_are_proven_too(tmp_path: Path) -> None:
    async with (
        running(build_queue, tmp_path, service="queue") as queue,
        running(build_api, tmp_path, service="api", queue_endpoint=queue.settings.endpoint) as api,
    ):
        await Stubs.on(api.channel("member")).queued()
        assert await asyncio.to_thread(care_command.run_check, arguments(tmp_path)) == 0


def test_deleted_tasks_and_leftovers_go_and_the_rest_stays(data: Path, said: Any) -> None:
    with sqlite3.connect(data / "api.db") as connection:
        connection.execute("UPDATE tasks SET delete_time = 1, purge_time = 2 WHERE display_name = 'done'")
        connection.execute("INSERT INTO scalar_tasks VALUES ('gone', 1, 1)")
        connection.execute("INSERT INTO join_tokens VALUES (x'01', '', 1, 2, NULL, '')")
        connection.execute("INSERT INTO requests VALUES ('a', 'b', 'c', x'01', x'01', 5)")
    connection.close()
    assert care_command.run_gc(arguments(data, dry_run=True)) == 0
    would = {(each["service"], each["name"]): each["rows"] for each in said()["cleared"]}
    assert would["api", "deleted tasks"] == would["api", "join tokens"] == would["api", "left in scalar_tasks"] == 1
    assert would["api", "requests"] == 1
    assert care_command.run_gc(arguments(data, dry_run=False)) == 0
    did = {(each["service"], each["name"]): each["rows"] for each in said()["cleared"]}
    assert did == would
    assert care_command.run_gc(arguments(data, dry_run=False)) == 0
    assert not any(each["rows"] for each in said()["cleared"])
    assert care_command.run_check(arguments(data)) == 0
    with sqlite3.connect(data / "api.db") as connection:
        left = {row[0] for row in connection.execute("SELECT display_name FROM tasks")}
        places = connection.execute("SELECT count(*) FROM log_tasks").fetchone()[0]
    connection.close()
    assert (left, places) == ({"running", "waiting", "deleted"}, 1)


def test_old_history_of_the_queue_goes_by_its_limit(data: Path, said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(data / "queue.db") as connection:
        connection.execute("UPDATE entries SET end_millis = 1 WHERE state = 50")
    connection.close()
    assert care_command.run_gc(arguments(data, dry_run=False)) == 0
    cleared = {(each["service"], each["name"]): each["rows"] for each in said()["cleared"]}
    assert cleared["queue", "history"] == 1
    assert care_command.run_check(arguments(data)) == 0


async def test_a_file_that_a_service_has_is_not_cleared_and_not_migrated(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(build_queue, data, service="queue"):
        assert await asyncio.to_thread(care_command.run_gc, arguments(data, dry_run=False)) == 1
        assert "in use by another queue service" in capsys.readouterr().err
        assert await asyncio.to_thread(care_command.run_gc, arguments(data, dry_run=True)) == 0
        queue = next(each for each in known(data) if each.service == "queue")
        with pytest.raises(SettingsError, match="in use"), alone(queue, SystemClock()):
            pass


def older(data: Path) -> None:
    """The queue's database as the release before last left it."""
    with sqlite3.connect(data / "queue.db") as connection:
        connection.execute("DROP TABLE history")
        connection.execute("ALTER TABLE entries DROP COLUMN traceparent")
        connection.execute("UPDATE alembic_version SET version_num = '0006'")
    connection.close()


def test_what_a_schema_lacks_is_told_and_then_done(data: Path, said: Any, capsys: pytest.CaptureFixture[str]) -> None:
    older(data)
    assert care_command.run_check(arguments(data)) == 1
    assert "run `batuta admin migrate`" in capsys.readouterr().err
    assert care_command.run_migrate(arguments(data, check=True)) == 1
    told = {each["service"]: each for each in said()["schemas"]}
    assert told["api"]["steps"] == []
    assert told["queue"]["revision"] == "0006"
    assert told["queue"]["steps"][0].startswith("0007 ")
    assert care_command.run_migrate(arguments(data, check=False)) == 0
    said()
    assert care_command.run_migrate(arguments(data, check=True)) == 0
    said()
    assert care_command.run_check(arguments(data)) == 0


def test_a_database_of_a_newer_release_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(data, "queue", "UPDATE alembic_version SET version_num = '9999'")
    for run in (care_command.run_migrate, care_command.run_check):
        assert run(arguments(data, check=True)) == 1
        assert "of a newer release" in capsys.readouterr().err


def test_databases_that_are_not_there_yet_need_no_migration(tmp_path: Path, said: Any) -> None:
    assert care_command.run_migrate(arguments(tmp_path, check=True)) == 0
    assert [each["revision"] for each in said()["schemas"]] == ["", ""]
    assert not list(tmp_path.iterdir())


@pytest.fixture
def postgres(new_database: Callable[[], str], tmp_path: Path) -> str:
    """A PostgreSQL with the tables of both services filled."""
    url = new_database()
    asyncio.run(fill(tmp_path / "data", database_url=url))
    return url


def test_the_same_on_postgresql(postgres: str, tmp_path: Path, said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batuta_chassis.proving._PAUSE", 0.0)
    assert care_command.run_check(arguments(tmp_path, postgres)) == 0
    said()
    assert care_command.run_gc(arguments(tmp_path, postgres, dry_run=True)) == 0
    said()
    assert care_command.run_gc(arguments(tmp_path, postgres, dry_run=False)) == 0
    said()
    assert care_command.run_migrate(arguments(tmp_path, postgres, check=True)) == 0
    said()
    parts = {each.service: each.part for each in known(tmp_path, postgres)}
    engine = create_engine(postgres.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.connect() as connection:
        for service, name, statement in DAMAGES:
            if service in parts:
                connection.execute(text(f"SET LOCAL search_path = {service}"))
                connection.execute(text("SET LOCAL session_replication_role = replica"))  # no foreign keys
                connection.execute(text(statement))
                [proof] = [each for each in parts[service].invariants if each.name == name]
                assert list(proof.look(connection)), (service, name)
                connection.rollback()
        connection.execute(text("UPDATE api.event_cursor SET log_epoch = 'another'"))
        connection.commit()
    engine.dispose()
    assert care_command.run_check(arguments(tmp_path, postgres)) == 1
    assert broken(said()) == {("api+queue", "cursor")}


async def test_a_process_that_beats_on_postgresql_keeps_others_from_its_schema(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    url = new_database()
    async with running(build_queue, tmp_path / "q", service="queue", database_url=url):
        queue = next(each for each in known(tmp_path, url) if each.service == "queue")

        def take() -> None:
            with alone(queue, SystemClock()):
                pass

        with pytest.raises(SettingsError, match="1 processes of the queue service use this database"):
            await asyncio.to_thread(take)
    await asyncio.to_thread(take)
