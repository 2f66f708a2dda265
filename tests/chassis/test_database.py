"""One writer commits for all who wait; nobody hears of success before it is durable."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import IntegrityError, OperationalError

from batuta_chassis.database import Database, sqlite_url
from batuta_chassis.settings import SettingsError
from batuta_chassis.unit import after_commit, unit_of
from batuta_rpc.clock import SystemClock
from batuta_rpc.errors import RateLimited, ShuttingDown, StorageFailed

if TYPE_CHECKING:
    from tests.chassis.conftest import Notes


async def test_what_was_written_can_be_read_as_soon_as_the_write_returns(
    database: Database, notes: type[Notes]
) -> None:
    await database.write(lambda c: notes(c).add("a"))
    assert await database.read(lambda c: notes(c).all()) == ["a"]


async def test_a_use_case_that_fails_undoes_itself_and_nobody_else(database: Database, notes: type[Notes]) -> None:
    gate = hold(database)

    def bad(connection: Connection) -> None:
        notes(connection).add("bad")
        raise LookupError("no")

    results = [
        asyncio.create_task(database.write(lambda c: notes(c).add("one"))),
        asyncio.create_task(database.write(bad)),
        asyncio.create_task(database.write(lambda c: notes(c).add("two"))),
        asyncio.create_task(database.write(lambda c: notes(c).add("one"))),
    ]
    await asyncio.sleep(0)
    gate.set()
    ended = await asyncio.gather(*results, return_exceptions=True)
    assert [type(each) for each in ended] == [type(None), LookupError, type(None), IntegrityError]
    assert await database.read(lambda c: notes(c).all()) == ["one", "two"]


async def test_an_error_of_a_statement_does_not_tell_what_was_to_be_stored(
    database: Database, notes: type[Notes]
) -> None:
    await database.write(lambda c: notes(c).add("a user's line"))
    with pytest.raises(IntegrityError) as caught:
        await database.write(lambda c: notes(c).add("a user's line"))
    assert "UNIQUE" in str(caught.value)
    assert "a user's line" not in str(caught.value)


@pytest.mark.parametrize("company", [0, 3])
async def test_a_full_disk_is_told_as_such_changes_nothing_and_passes(
    database: Database, notes: type[Notes], company: int
) -> None:
    await database.write(lambda c: notes(c).add("before"))
    await database.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1"))  # SQLite takes what there is now
    gate = hold(database)
    writes = [asyncio.create_task(database.write(lambda c: notes(c).add("x" * 1_000_000)))]
    writes += [asyncio.create_task(database.write(lambda c, n=n: notes(c).add(f"{n}"))) for n in range(company)]
    await asyncio.sleep(0)
    gate.set()
    ended = await asyncio.gather(*writes, return_exceptions=True)
    await asyncio.gather(_holding[-1], return_exceptions=True)  # it may have shared their transaction
    assert isinstance(ended[0], StorageFailed)
    assert all(each is None or isinstance(each, StorageFailed) for each in ended)
    stored = [f"{n}" for n in range(company) if ended[n + 1] is None]
    assert await database.read(lambda c: notes(c).all()) == ["before", *stored]
    await database.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1000000"))
    await database.write(lambda c: notes(c).add("after"))
    assert await database.read(lambda c: notes(c).all()) == ["before", *stored, "after"]


async def test_those_who_wait_together_are_committed_together(database: Database, notes: type[Notes]) -> None:
    commits = 0

    def count(_connection: Any) -> None:
        nonlocal commits
        commits += 1

    event.listen(database.engine, "commit", count)
    gate = hold(database)
    waiting = [asyncio.create_task(database.write(lambda c, n=n: notes(c).add(f"{n}"))) for n in range(100)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*waiting)
    assert commits <= 3
    assert len(await database.read(lambda c: notes(c).all())) == 100


async def test_use_cases_run_in_the_order_in_which_they_came(database: Database, notes: type[Notes]) -> None:
    await asyncio.gather(*(database.write(lambda c, n=n: notes(c).add(f"{n}")) for n in range(300)))
    assert await database.read(lambda c: notes(c).all()) == [f"{n}" for n in range(300)]


async def test_hooks_run_on_the_loop_after_the_commit_and_before_the_caller_goes_on(
    database: Database, notes: type[Notes]
) -> None:
    heard: list[tuple[str, int]] = []

    def use_case(connection: Connection) -> str:
        notes(connection).add("a")
        after_commit(connection, lambda: heard.append(("committed", threading.get_ident())))
        assert not heard
        return "done"

    assert await database.write(use_case) == "done"
    assert heard == [("committed", threading.get_ident())]


async def test_the_hooks_of_a_use_case_that_failed_never_run(database: Database) -> None:
    heard: list[str] = []

    def use_case(connection: Connection) -> None:
        after_commit(connection, lambda: heard.append("no"))
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(use_case)
    assert heard == []


async def test_a_hook_that_fails_does_not_harm_the_write(database: Database, notes: type[Notes]) -> None:
    def use_case(connection: Connection) -> None:
        notes(connection).add("a")
        after_commit(connection, lambda: 1 // 0)

    await database.write(use_case)
    assert await database.read(lambda c: notes(c).all()) == ["a"]


async def test_a_query_cannot_write(database: Database, notes: type[Notes]) -> None:
    with pytest.raises(OperationalError, match="readonly"):
        await database.read(lambda c: notes(c).add("a"))


async def test_there_is_no_unit_of_work_outside_of_a_write(database: Database) -> None:
    with pytest.raises(RuntimeError, match=r"Database\.write"):
        await database.read(unit_of)


async def test_more_use_cases_than_may_wait_are_refused_at_once(
    open_database: Callable[..., Database], notes: type[Notes]
) -> None:
    database = open_database(limit=3)
    gate = hold(database)
    waiting = [asyncio.create_task(database.write(lambda c, n=n: notes(c).add(f"{n}"))) for n in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited, match="3 changes wait"):
        await database.write(lambda c: notes(c).add("x"))
    gate.set()
    await asyncio.gather(*waiting)
    await database.write(lambda c: notes(c).add("room again"))


async def test_bulk_data_is_passed_by_what_is_not_and_goes_a_little_at_a_time(database: Database) -> None:
    gate, order = hold(database), list[str]()

    def note(name: str) -> Callable[[Connection], None]:
        return lambda _connection: order.append(name)

    bulk = [asyncio.create_task(database.write(note(f"bulk {n}"), bulk=3 << 20)) for n in range(5)]
    state = [asyncio.create_task(database.write(note(f"state {n}"))) for n in range(3)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*bulk, *state)
    assert order == ["state 0", "state 1", "state 2", *(f"bulk {n}" for n in range(5))]


async def test_late_data_is_passed_by_other_bulk_data_and_stands_still_for_none(database: Database) -> None:
    gate, order = hold(database), list[str]()

    def note(name: str) -> Callable[[Connection], None]:
        return lambda _connection: order.append(name)

    late = [asyncio.create_task(database.write(note(f"late {n}"), bulk=1 << 20, late=True)) for n in range(3)]
    bulk = [asyncio.create_task(database.write(note(f"bulk {n}"), bulk=512 << 10)) for n in range(4)]
    state = asyncio.create_task(database.write(note("state")))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*late, *bulk, state)
    assert order == ["state", "bulk 0", "bulk 1", "late 0", "bulk 2", "bulk 3", "late 1", "late 2"]


async def test_bulk_data_goes_on_beside_changes_that_never_pause(database: Database) -> None:
    gate, stored = hold(database), asyncio.Event()

    async def change() -> None:
        while not stored.is_set():
            await database.write(lambda c: None)

    changing = [asyncio.create_task(change()) for _ in range(4)]
    bulk = asyncio.create_task(database.write(lambda c: None, bulk=1 << 20))
    bulk.add_done_callback(lambda _: stored.set())
    await asyncio.sleep(0)
    gate.set()
    await asyncio.wait_for(bulk, 10)
    await asyncio.gather(*changing)


async def test_bulk_data_never_keeps_anything_else_out(
    open_database: Callable[..., Database], notes: type[Notes]
) -> None:
    database = open_database(limit=3)
    gate = hold(database)
    bulk = [asyncio.create_task(database.write(lambda c: None, bulk=16 << 20)) for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited) as refused:
        await database.write(lambda c: None, bulk=1)
    assert refused.value.retry_delay == 0.5
    state = asyncio.create_task(database.write(lambda c: notes(c).add("state")))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*bulk, state)
    await database.write(lambda c: None, bulk=1)


async def test_a_caller_who_leaves_does_not_stop_the_others(database: Database, notes: type[Notes]) -> None:
    gate = hold(database)
    leaving = asyncio.create_task(database.write(lambda c: notes(c).add("left")))
    staying = asyncio.create_task(database.write(lambda c: notes(c).add("stayed")))
    await asyncio.sleep(0)
    leaving.cancel()
    gate.set()
    await staying
    assert "stayed" in await database.read(lambda c: notes(c).all())


async def test_closing_finishes_what_waits_and_refuses_what_comes_later(database: Database, notes: type[Notes]) -> None:
    waiting = [asyncio.create_task(database.write(lambda c, n=n: notes(c).add(f"{n}"))) for n in range(20)]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*waiting)
    with pytest.raises(ShuttingDown):
        await database.write(lambda c: notes(c).add("late"))
    with pytest.raises(ShuttingDown):
        await database.read(lambda c: notes(c).all())


async def test_the_files_are_readable_by_their_owner_only(
    database: Database, notes: type[Notes], tmp_path: Path
) -> None:
    await database.write(lambda c: notes(c).add("secret"))
    modes = {name: stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in os.listdir(tmp_path)}
    assert set(modes.values()) == {0o600}
    assert "test.db-wal" in modes


async def test_a_database_that_is_not_a_file_or_of_another_kind_is_refused() -> None:
    with pytest.raises(SettingsError, match="SQLite or PostgreSQL; 'mysql' is neither"):
        Database("mysql://host/db", *_nothing())
    with pytest.raises(SettingsError, match="sqlite:///PATH or postgresql"):
        Database("somewhere", *_nothing())
    with pytest.raises(SettingsError, match="must be a file"):
        Database("sqlite://", *_nothing())


def test_everything_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    script = f"""
import asyncio, sys
from sqlalchemy import MetaData, Table, Column, Integer, insert
from batuta_chassis.database import Database, sqlite_url
from batuta_rpc.clock import SystemClock
from pathlib import Path
metadata = MetaData()
table = Table("t", metadata, Column("id", Integer, primary_key=True))
async def main():
    database = Database(sqlite_url(Path({str(tmp_path / "k.db")!r})), metadata, SystemClock())
    database.create_all()
    async def one(number):
        await database.write(lambda c: c.execute(insert(table), {{"id": number}}))
        sys.stdout.write(f"{{number}}\\n"); sys.stdout.flush()
    for start in range(0, 1_000_000, 8):
        await asyncio.gather(*(one(start + n) for n in range(8)))
asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(200)]
    os.kill(process.pid, signal.SIGKILL)
    acknowledged += [int(line) for line in process.stdout.read().split("\n")[:-1]]
    process.wait(10)
    import sqlite3

    with sqlite3.connect(tmp_path / "k.db") as connection:
        stored = {row[0] for row in connection.execute("SELECT id FROM t")}
    assert set(acknowledged) <= stored
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def hold(database: Database) -> threading.Event:
    """Keep the writer busy until the event is set, so that what comes meanwhile waits together."""
    gate = threading.Event()

    def use_case(_connection: Connection) -> None:
        gate.wait(10)

    _holding.append(asyncio.ensure_future(database.write(use_case)))
    return gate


_holding: list[asyncio.Future[None]] = []
"""Tasks of `hold`: asyncio itself keeps no reference to them."""


def _nothing() -> tuple[Any, Any]:
    return None, SystemClock()


def test_the_url_of_a_path_with_odd_characters_is_read_back(tmp_path: Path) -> None:
    from sqlalchemy import make_url

    path = tmp_path / "a b?c#d%é.db"
    assert make_url(sqlite_url(path)).database == str(path)
