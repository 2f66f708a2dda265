"""What a server brings that a file does not: several processes, connections that break, text with NUL."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.exc import IntegrityError

from batuta_chassis.database import Database
from batuta_chassis.migrations import migrate
from batuta_chassis.settings import SettingsError
from batuta_rpc.errors import StorageFailed
from batuta_rpc.testing import FakeClock, until
from tools.postgres import Postgres

if TYPE_CHECKING:
    from tests.chassis.conftest import Notes

Open = Callable[..., Database]


@pytest.fixture
def kind() -> str:
    return "postgresql"


def backend(connection: Connection) -> int:
    return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


async def terminate(database: Database, pid: int) -> None:
    await database.read(lambda c: c.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid}).scalar_one())


async def test_a_use_case_that_fails_undoes_itself_and_nobody_else_of_its_group(
    database: Database, notes: type[Notes]
) -> None:
    held, go = threading.Event(), threading.Event()
    blocker = asyncio.create_task(database.write(lambda _c: (held.set(), go.wait(10))))
    await asyncio.to_thread(held.wait, 10)
    await database.read(lambda c: notes(c).all())
    work = [database.write(lambda c, word=word: notes(c).add(word)) for word in ("one", "one", "two")]
    tasks = [asyncio.create_task(each) for each in work]
    await asyncio.sleep(0)
    go.set()
    ended = await asyncio.gather(blocker, *tasks, return_exceptions=True)
    assert [type(each) for each in ended[1:]] == [type(None), IntegrityError, type(None)]
    assert await database.read(lambda c: notes(c).all()) == ["one", "two"]


async def test_writers_of_two_processes_never_run_at_once(open_database: Open, notes: type[Notes]) -> None:
    one, two = open_database(), open_database()
    inside = 0

    def add(connection: Connection, word: str) -> None:
        nonlocal inside
        inside += 1
        assert inside == 1
        before = len(notes(connection).all())
        notes(connection).add(f"{before} {word}")
        inside -= 1

    work = [each.write(lambda c, n=n, each=each: add(c, f"{n} {id(each)}")) for n in range(20) for each in (one, two)]
    await asyncio.gather(*work)
    stored = await one.read(lambda c: notes(c).all())
    assert [line.split()[0] for line in stored] == [str(number) for number in range(40)]


async def test_a_use_case_whose_connection_breaks_before_its_commit_runs_again_and_once(
    open_database: Open, notes: type[Notes]
) -> None:
    database, other = open_database(), open_database()
    loop, runs = asyncio.get_running_loop(), 0

    def add(connection: Connection) -> str:
        nonlocal runs
        runs += 1
        notes(connection).add(f"run {runs}")
        if runs == 1:
            asyncio.run_coroutine_threadsafe(terminate(other, backend(connection)), loop).result(10)
        notes(connection).add(f"still run {runs}")
        return f"run {runs}"

    assert await database.write(add) == "run 2"
    assert await database.read(lambda c: notes(c).all()) == ["run 2", "still run 2"]


async def test_readers_outlive_connections_that_the_server_has_dropped(
    open_database: Open, notes: type[Notes], postgres_server: Postgres
) -> None:
    database = open_database()
    await database.write(lambda c: notes(c).add("kept"))
    pids = set(await asyncio.gather(*(database.read(backend) for _ in range(8))))
    other = open_database()
    for pid in pids:
        await terminate(other, pid)
    assert await asyncio.gather(*(database.read(lambda c: notes(c).all()) for _ in range(8))) == [["kept"]] * 8


async def test_a_server_that_does_not_answer_is_told_as_such_by_a_deadline(
    open_database: Open, notes: type[Notes], new_database: Any
) -> None:
    with Postgres() as server:
        clock = FakeClock()
        from tests.chassis.conftest import METADATA

        database = Database(server.database(), METADATA, clock)
        database.create_all()
        await database.write(lambda c: notes(c).add("before"))
        server.pause()
        try:
            both: list[asyncio.Task[Any]] = [
                asyncio.create_task(database.write(lambda c: notes(c).add("late"))),
                asyncio.create_task(database.read(lambda c: notes(c).all())),
            ]
            await asyncio.sleep(0)
            await until(lambda: clock.sleepers >= 2)
            clock.advance(16)
            ended = await asyncio.gather(*both, return_exceptions=True)
            assert [type(each) for each in ended] == [StorageFailed, StorageFailed]
        finally:
            server.resume()
        assert "before" in await database.read(lambda c: notes(c).all())
        await database.close()


async def test_a_server_that_was_killed_and_is_back_lost_nothing_acknowledged(notes: type[Notes]) -> None:
    with Postgres() as server:
        from batuta_rpc.clock import SystemClock
        from tests.chassis.conftest import METADATA

        database = Database(server.database(), METADATA, SystemClock())
        database.create_all()
        await database.write(lambda c: notes(c).add("acknowledged"))
        server.kill9()
        with pytest.raises(StorageFailed):
            await database.write(lambda c: notes(c).add("refused"))
        await asyncio.to_thread(server.start)
        await database.write(lambda c: notes(c).add("after"))
        assert await database.read(lambda c: notes(c).all()) == ["acknowledged", "after"]
        await database.close()


async def test_a_server_that_cannot_be_reached_is_told_as_such_and_without_the_password(tmp_path: Path) -> None:
    database = Database("postgresql://u:secret@127.0.0.1:9/db", MetaData(), FakeClock())
    with pytest.raises(SettingsError, match=r"cannot reach the database .*Does the server run") as caught:
        migrate(database.engine, tmp_path)
    assert "secret" not in str(caught.value)
    await database.close()


@pytest.mark.parametrize("word", ["\x00", "a\x00b", "\x01", "\x01\x02", "\x01\x00\x01\x01\x00", "é\x00空"])
async def test_text_comes_back_as_it_was_whatever_is_in_it(database: Database, notes: type[Notes], word: str) -> None:
    await database.write(lambda c: notes(c).add(word))
    assert await database.read(lambda c: notes(c).all()) == [word]
