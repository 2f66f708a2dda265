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
from batuta_chassis.database_times import DatabaseTimes
from batuta_chassis.migrations import migrate
from batuta_chassis.outbox import Outbox, OutboxRow
from batuta_chassis.outbox_sender import OutboxSender
from batuta_chassis.settings import SettingsError
from batuta_rpc.errors import StorageFailed
from batuta_rpc.testing import FakeClock, SeededIds, until
from tests.chaos.proxy import Proxy
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


async def test_closing_ends_the_threads_that_wait_for_a_server_which_is_frozen(notes: type[Notes]) -> None:
    with Postgres() as server:
        from batuta_rpc.clock import SystemClock
        from tests.chassis.conftest import METADATA

        times = DatabaseTimes(database_close_within=0.2)
        database = Database(server.database(), METADATA, SystemClock(), times=times)
        database.create_all()
        await database.write(lambda c: notes(c).add("before"))
        await asyncio.gather(*(database.read(lambda c: notes(c).all()) for _ in range(4)))
        before = set(threading.enumerate())
        server.pause()
        try:
            # One more than there are connections: it is never begun.
            stuck = [asyncio.create_task(database.read(lambda c: notes(c).all())) for _ in range(5)]
            stuck += [asyncio.create_task(database.write(lambda c: notes(c).all())) for _ in range(2)]
            await asyncio.sleep(0)
            await database.close()
            ended = await asyncio.gather(*stuck, return_exceptions=True)
            ours = [each for each in before if each.name.startswith("batuta-")]
            await until(lambda: not any(each.is_alive() for each in ours))
        finally:
            server.resume()
        told = (StorageFailed, asyncio.CancelledError)
        assert all(isinstance(each, told) for each in ended), ended


@pytest.mark.parametrize("arrives", [True, False], ids=["stored", "not stored"])
async def test_a_message_whose_commit_is_in_doubt_is_delivered_if_it_was_stored(
    postgres_server: Postgres, arrives: bool
) -> None:
    from batuta_rpc.clock import SystemClock
    from tests.chassis.conftest import METADATA

    proxy, got = Proxy(postgres_server.port), list[bytes]()
    name = postgres_server.database().rpartition("/")[2]
    database = Database(f"postgresql://postgres@127.0.0.1:{proxy.port}/{name}", METADATA, SystemClock())
    database.create_all()

    async def deliver(row: OutboxRow) -> None:
        got.append(row.payload)

    # Before it begins, so that it reads once and then only listens.
    await database.write(lambda c: Outbox.add(c, "topic", "one", b"first"))
    # A clock that stands still: what was delivered is not deleted, in a commit of its own, meanwhile.
    sending = asyncio.create_task(OutboxSender(database, deliver, FakeClock(), SeededIds()).run())
    try:
        await until(lambda: got == [b"first"])
        proxy.break_at(b"COMMIT\0", arrives=arrives)
        with pytest.raises(StorageFailed, match="not known"):
            await database.write(lambda c: Outbox.add(c, "topic", "two", b"in doubt"))
        await database.write(lambda c: Outbox.add(c, "topic", "three", b"last"))
        stored = [b"in doubt"] if arrives else []
        await until(lambda: sorted(got) == sorted([b"first", *stored, b"last"]))
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await database.close()
        proxy.close()


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
