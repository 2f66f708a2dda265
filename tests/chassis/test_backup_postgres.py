"""What is on PostgreSQL is backed up as of one moment, and comes back to a new database that knows it was restored."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from batuta_api.__main__ import build as build_api
from batuta_chassis.testing import running
from batuta_proto.queues import v1 as queues
from batuta_queue.__main__ import build as build_queue
from tools.postgres import Postgres

Batuta = Callable[..., tuple[int, str, str]]


@pytest.fixture
def batuta(postgres_server: Postgres, tmp_path: Path) -> Batuta:
    """Runs `batuta admin …` with PostgreSQL's programs at hand: its status, and what it said."""

    def run(*words: str, programs: Path = postgres_server.programs) -> tuple[int, str, str]:
        environ = {**os.environ, "HOME": str(tmp_path), "PATH": str(programs)}
        done = subprocess.run(
            [sys.executable, "-m", "batuta", "admin", *words], env=environ, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr

    return run


def epoch(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT epoch FROM queue.event_log").fetchone()
        assert row is not None
        return str(row[0])


async def test_databases_on_postgresql_are_copied_and_come_back_under_a_new_epoch(
    tmp_path: Path, new_database: Callable[[], str], batuta: Batuta
) -> None:
    url, data, copy = new_database(), tmp_path / "data", tmp_path / "copy"
    keys = data / "keys"
    async with running(build_queue, data, service="queue", keys_dir=keys, database_url=url) as queue:
        stub = queues.QueueServiceStub(queue.channel("member"))
        await stub.CreateQueue(queues.CreateQueueRequest(display_name="gpu"))
        async with running(
            build_api, data, service="api", keys_dir=keys, database_url=url, queue_endpoint=queue.settings.endpoint
        ):
            words = ("backup", str(copy), "--data", str(data), "--database-url", url, "--json")
            code, out, err = await asyncio.to_thread(batuta, *words)
    assert (code, err) == (0, "")
    assert json.loads(out)["folder"] == str(copy)
    assert {"postgresql.dump", "admin.credentials", "backup.json"} <= {path.name for path in copy.iterdir()}
    assert (copy / "postgresql.dump").stat().st_mode & 0o777 == 0o600

    refused = batuta("restore", str(copy), "--data", str(tmp_path / "other"))
    assert (refused[0], "name a database for it with --database-url" in refused[2]) == (1, True)
    taken = batuta("restore", str(copy), "--data", str(tmp_path / "other"), "--database-url", url)
    assert (taken[0], "has api and queue already" in taken[2]) == (1, True)
    assert not (tmp_path / "other").exists()

    fresh, back = new_database(), tmp_path / "back"
    assert batuta("restore", str(copy), "--data", str(back), "--database-url", fresh)[0] == 0
    assert epoch(fresh) != epoch(url)
    assert (back / "admin.credentials").read_bytes() == (data / "admin.credentials").read_bytes()
    async with running(build_queue, back, service="queue", keys_dir=back / "keys", database_url=fresh) as queue:
        found = await queues.QueueServiceStub(queue.channel("member")).GetQueue(
            queues.GetQueueRequest(display_name="gpu")
        )
        assert found.queue.display_name == "gpu"


def test_a_database_without_batuta_is_not_backed_up(
    tmp_path: Path, new_database: Callable[[], str], batuta: Batuta
) -> None:
    code, _, err = batuta("backup", str(tmp_path / "copy"), "--database-url", new_database())
    assert code == 1
    assert "there is nothing of Batuta in this database" in err
    assert not (tmp_path / "copy").exists()


def test_without_pg_dump_it_is_said_what_to_install(
    tmp_path: Path, new_database: Callable[[], str], batuta: Batuta
) -> None:
    url = new_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE SCHEMA queue")
    code, _, err = batuta("backup", str(tmp_path / "copy"), "--database-url", url, programs=tmp_path)
    assert code == 1
    assert "pg_dump is not here: install PostgreSQL's client programs" in err


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://somebody@127.0.0.1/x", "is for PostgreSQL, and not for mysql"),
        ("nonsense", "is no address of a database"),
        ("postgresql://somebody@127.0.0.1:1/x", "the database cannot be reached"),
    ],
)
def test_an_address_that_is_none_is_one_line(tmp_path: Path, batuta: Batuta, url: str, told: str) -> None:
    code, _, err = batuta("backup", str(tmp_path / "copy"), "--database-url", url)
    assert code == 1
    assert told in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "copy").exists()
