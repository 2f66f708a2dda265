"""PostgreSQL that freezes and dies under a deployment that works."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from batuta_proto.tasks import v1 as tasks
from batuta_rpc.errors import DeadlineExceeded, Unavailable
from tests.chaos.counting import Tally
from tests.chaos.world import World
from tests.e2e.harness.processes import poll
from tools.postgres import Postgres

Open = Callable[..., World]


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A server of this test's own, as durable as in production."""
    with Postgres() as made:
        yield made


@pytest.mark.nightly
@pytest.mark.timeout(300)
def test_f9_a_postgresql_that_is_frozen_costs_calls_but_no_lease(
    open_world: Open, server: Postgres, tally: Tally
) -> None:
    world = open_world(server.database())
    remote = world.remote()
    world.keep_agent("a")
    identities = [world.submit(remote, f"task {n}", "time.sleep(8)\n") for n in range(2)]
    poll("both run", 60, lambda: all(remote.get(each).status.state == tasks.TASK_STATE_RUNNING for each in identities))
    server.pause()
    start = time.monotonic()
    with pytest.raises((Unavailable, DeadlineExceeded)):
        remote.create("pass", "while it is frozen")
    assert time.monotonic() - start < 25, "by a deadline, not by luck"
    time.sleep(max(0.0, 30 - (time.monotonic() - start)))
    server.resume()
    ended = world.until_ended(remote, identities)
    assert [task.status.attempt for task in ended.values()] == [1, 1]
    assert {task.status.state for task in ended.values()} == {tasks.TASK_STATE_COMPLETED}
    tally.judge("frozen PostgreSQL", world.judged())


@pytest.mark.nightly
@pytest.mark.timeout(300)
def test_services_end_when_they_are_told_to_though_postgresql_is_frozen(open_world: Open, server: Postgres) -> None:
    world = open_world(server.database())
    remote = world.remote()
    world.keep_agent("a")
    identity = world.submit(remote, "task", "time.sleep(60)\n")
    poll("it runs", 60, lambda: remote.get(identity).status.state == tasks.TASK_STATE_RUNNING)
    server.pause()
    try:
        with pytest.raises((Unavailable, DeadlineExceeded)):
            remote.create("pass", "while it is frozen")  # a thread waits for that one
        for process in (world.api_process, world.queue_process):
            process.send(signal.SIGTERM)
        for process in (world.api_process, world.queue_process):
            assert process.wait(60) == 0
    finally:
        server.resume()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("restarts", [pytest.param(4, marks=pytest.mark.nightly), 1])
def test_f13_a_postgresql_that_crashes_under_load_loses_nothing_acknowledged(
    open_world: Open, server: Postgres, tally: Tally, restarts: int
) -> None:
    world = open_world(server.database())
    remote = world.remote()
    world.keep_agent("a")
    done = threading.Event()

    def crash() -> None:
        for _ in range(restarts):
            time.sleep(1.5)
            server.restart("immediate")
        done.set()

    crashing = threading.Thread(target=crash)
    crashing.start()
    while not done.is_set():
        if len(world.submitted) < 40 * restarts:  # more would only take longer to run afterwards
            world.submit(remote, f"task {len(world.submitted)}")
        time.sleep(0.02)
    crashing.join()
    ended = world.until_ended(remote, world.submitted)
    assert {task.status.state for task in ended.values()} == {tasks.TASK_STATE_COMPLETED}
    tally.judge(f"{restarts} crashes of PostgreSQL", world.judged())


@pytest.mark.nightly
@pytest.mark.timeout(300)
def test_f14_transactions_whose_backend_is_killed_are_run_again_and_once(
    open_world: Open, server: Postgres, tally: Tally
) -> None:
    world = open_world(server.database())
    remote = world.remote()
    world.keep_agent("a")
    killed: list[int] = []

    def kill() -> None:
        for _ in range(4):
            killed.append(poll("a transaction to kill", 60, lambda: _kill_a_transaction(world.database_url)))
            time.sleep(1.5)

    killing = threading.Thread(target=kill)
    killing.start()
    while killing.is_alive():
        if len(world.submitted) < 60:
            world.submit(remote, f"task {len(world.submitted)}")
        else:
            world.until_done(lambda: remote.create("pass", "goes on"))
        time.sleep(0.02)
    killing.join()
    assert len(killed) == 4
    ended = world.until_ended(remote, world.submitted)
    assert {task.status.state for task in ended.values()} == {tasks.TASK_STATE_COMPLETED}
    tally.judge("kills of backends", world.judged())


def _kill_a_transaction(url: str) -> int | None:
    """kill -9 the server's process of a writing transaction of ours, should there be one now. The server then ends all
    connections and recovers from its log."""
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, autocommit=True) as connection:
        for _ in range(500):
            row = connection.execute(
                "SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid) "
                "WHERE locktype = 'advisory' AND granted AND application_name LIKE 'batuta-%'"
            ).fetchone()
            if row is not None:
                os.kill(int(row[0]), signal.SIGKILL)
                return int(row[0])
    return None


@pytest.mark.nightly
@pytest.mark.timeout(300)
def test_f18_a_postgresql_without_a_byte_left_refuses_and_returns_whole_when_there_is_room(
    open_world: Open, small_disk: Callable[[int], Path], tally: Tally
) -> None:
    volume = small_disk(192)
    with Postgres(volume / "postgres", {"max_wal_size": "64MB", "min_wal_size": "32MB"}) as server:
        world = open_world(server.database())
        remote = world.remote()
        world.keep_agent("a")
        world.submit(remote, "before")
        ballast = volume / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(1 << 16)):
                continue
        refused = 0
        for number in range(2_000):
            try:
                remote.create("pass # " + "x" * 100_000, f"filler {number}")
            except (Unavailable, DeadlineExceeded):
                refused += 1
                if refused == 3:
                    break
        assert refused == 3, "the volume was never full"
        ballast.unlink()
        if not server.running:
            server.restart()
        world.submit(remote, "after")
        ended = world.until_ended(remote, world.submitted)
        assert {task.status.state for task in ended.values()} == {tasks.TASK_STATE_COMPLETED}
        tally.judge("a full volume", world.judged())
