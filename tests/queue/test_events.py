"""The event log as the API reads it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from batuta_chassis.hub import Hub
from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types
from batuta_queue.events import EventLog
from batuta_queue.ledger import Ledger
from batuta_queue.model import EntryState
from batuta_queue.numbers import Numbers
from batuta_queue.store import QueueStore
from batuta_queue.testing import MemoryTransactor, make_entry, make_holder
from batuta_queue.transitions import Step, enter, offer
from batuta_rpc.clock import SystemClock, within
from batuta_rpc.errors import CursorExpired, RateLimited, ShuttingDown
from batuta_rpc.testing import FakeClock


def watching(house: Any, after: Any = None):
    return house.stub.WatchAttempts(queues.WatchAttemptsRequest(after=after))


async def read(call: Any):
    return await within(SystemClock(), 20.0, call.read())


async def test_the_first_answer_tells_the_epoch_even_when_nothing_happened(house: Any) -> None:
    call = watching(house)
    first = await read(call)
    assert list(first.events) == []
    assert first.cursor.log_epoch
    assert first.cursor.position == 0
    await house.submit("e1")
    second = await read(call)
    assert [event.entry_id for event in second.events] == ["e1"]
    assert second.cursor.position == second.events[-1].position == 1


async def test_a_reader_goes_on_after_its_cursor_without_a_hole(house: Any) -> None:
    for number in range(5):
        await house.submit(f"e{number}")
    call = watching(house, await house.log_start())
    whole = await read(call)
    assert [event.position for event in whole.events] == [1, 2, 3, 4, 5]
    again = watching(house, queues.Cursor(log_epoch=whole.cursor.log_epoch, position=3))
    assert [event.position for event in (await read(again)).events] == [4, 5]


async def test_a_long_log_comes_in_bounded_batches(house: Any) -> None:
    for number in range(620):
        await house.submit(f"e{number}")
    call = watching(house, await house.log_start())
    first, second = await read(call), await read(call)
    assert (len(first.events), len(second.events)) == (500, 120)
    assert second.events[0].position == 501


@pytest.mark.parametrize("position", [0, 99])
async def test_a_cursor_of_another_log_or_from_the_future_is_refused(house: Any, position: int) -> None:
    epoch = (await read(watching(house))).cursor.log_epoch
    foreign = epoch if position else "another-log"
    with pytest.raises(CursorExpired):
        await read(watching(house, queues.Cursor(log_epoch=foreign, position=position)))


async def test_the_log_survives_a_restart_with_its_epoch(open_house: Any) -> None:
    async with open_house() as house:
        start = await house.log_start()
        await house.submit("e1")
        cursor = (await read(watching(house, start))).cursor
    async with open_house() as house:
        await house.submit("e2")
        events = (await read(watching(house, cursor))).events
        assert [(event.entry_id, event.position) for event in events] == [("e2", 2)]


async def test_a_broker_that_goes_down_tells_its_readers(open_house: Any) -> None:
    async with open_house() as house:
        call = watching(house)
        await read(call)
        await house.service.process.stop(grace=5)
        with pytest.raises(ShuttingDown):
            await read(call)


async def snapshot(house: Any) -> tuple[list[Any], Any]:
    """The events of a snapshot, and the answer that ends it."""
    call, events = watching(house), list[Any]()
    while True:
        answer = await read(call)
        if answer.synced:
            call.cancel()
            return events, answer
        assert answer.snapshot
        assert not answer.HasField("cursor")
        events += answer.events


async def test_a_snapshot_tells_the_newest_event_of_every_entry_that_has_not_ended(house: Any) -> None:
    agent = house.agent(max_assignments=2)
    await agent.connect()
    running = await house.running_task(agent, "running")
    await agent.report(running.ref, types.ATTEMPT_PHASE_RUNNING)
    ended = await house.running_task(agent, "ended")
    await agent.beat(free=0)
    await agent.report(ended.ref, types.ATTEMPT_PHASE_SUCCEEDED)
    await agent.beat(free=0)
    await house.submit("waiting")
    await house.submit("withdrawn")
    await house.withdraw("withdrawn")
    events, last = await snapshot(house)
    told = [(each.entry_id, each.entry_state, each.attempt, each.phase) for each in events]
    assert told == [
        ("running", queues.ENTRY_STATE_RUNNING, 1, types.ATTEMPT_PHASE_RUNNING),
        ("waiting", queues.ENTRY_STATE_WAITING, 0, types.ATTEMPT_PHASE_UNSPECIFIED),
    ]
    assert not last.snapshot
    assert last.cursor.position == max(event.position for event in events) + 2


async def test_a_snapshot_is_followed_by_what_comes_and_its_cursor_goes_on(house: Any) -> None:
    await house.submit("e1")
    call = watching(house)
    assert [event.entry_id for event in (await read(call)).events] == ["e1"]
    synced = await read(call)
    assert synced.synced
    await house.submit("e2")
    assert [event.entry_id for event in (await read(call)).events] == ["e2"]
    again = watching(house, synced.cursor)
    assert [event.entry_id for event in (await read(again)).events] == ["e2"]


async def test_a_long_snapshot_comes_in_bounded_batches(open_house: Any) -> None:
    async with open_house(event_batch=3) as house:
        for number in range(7):
            await house.submit(f"e{number}")
        call = watching(house)
        sizes = [len((await read(call)).events) for _ in range(3)]
        assert sizes == [3, 3, 1]
        assert (await read(call)).synced


async def test_an_entry_older_than_the_log_is_in_the_snapshot_all_the_same(open_house: Any) -> None:
    async with open_house(history_seconds=600.0, purge_period=60.0) as house:
        agent = house.agent()
        await agent.connect()
        await house.running_task(agent, "long", retry=types.RetryPolicy(lease_policy=types.LEASE_POLICY_KEEP))
        agent.cut()
        await house.clock.run_for(1300)
        events, _ = await snapshot(house)
        assert [(each.entry_id, each.entry_state, each.phase, each.agent_id) for each in events] == [
            ("long", queues.ENTRY_STATE_RUNNING, types.ATTEMPT_PHASE_ACCEPTED, "agent-1")
        ]


class Changing(MemoryTransactor):
    """A store in which somebody writes between the reads."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: list[Callable[[QueueStore], None]] = []

    async def read(self, fn: Callable[[QueueStore], Any]) -> Any:
        result = await super().read(fn)
        if self.meanwhile:
            await self.write(self.meanwhile.pop(0))
        return result


def record(*steps: Step) -> Callable[[QueueStore], None]:
    def write(store: QueueStore) -> None:
        ledger = Ledger(store, lambda _steps: None)
        for step in steps:
            ledger.record(step)
        ledger.write()

    return write


async def test_what_changes_while_a_snapshot_is_read_is_told_once_and_never_backwards() -> None:
    transactor = Changing()
    transactor.store.open_log("epoch")
    early, late = make_entry("a"), make_entry("z")
    await transactor.write(record(enter(early), enter(late)))
    offered = [offer(entry, make_holder(), 1, 2_000) for entry in (early, late)]
    # After the head is known both are offered; `z` is then read as offered, and `a` after it had been read.
    transactor.meanwhile = [record(offered[1]), record(offered[0])]
    log = EventLog(transactor, Hub(FakeClock()), Numbers(event_batch=1))
    told: list[tuple[str, EntryState]] = []
    async with aclosing(log.watch(None)) as parts:
        async for part in parts:
            told += [(event.entry_id, event.entry_state) for event in part.events]
            if part.position == 4:
                break
    assert told == [
        ("a", EntryState.WAITING),
        ("z", EntryState.OFFERED),
        ("a", EntryState.OFFERED),
    ]


async def test_more_watches_than_allowed_are_refused_with_a_time_to_come_again(open_house: Any) -> None:
    async with open_house(max_watches=1) as house:
        first = watching(house)
        await read(first)
        with pytest.raises(RateLimited) as caught:
            await read(watching(house))
        assert caught.value.retry_delay
        first.cancel()


async def test_the_newest_event_of_entries_is_told_whether_they_have_ended_or_not(house: Any) -> None:
    await house.submit("waits")
    await house.submit("gone")
    await house.withdraw("gone")
    request = queues.BatchGetEntriesRequest(entry_ids=["gone", "nobody", "waits"])
    events = (await house.stub.BatchGetEntries(request)).events
    assert [(each.entry_id, each.entry_state, each.position) for each in events] == [
        ("gone", queues.ENTRY_STATE_WITHDRAWN, 3),
        ("nobody", queues.ENTRY_STATE_UNSPECIFIED, 0),
        ("waits", queues.ENTRY_STATE_WAITING, 1),
    ]


def database(folder: Path) -> dict[Path, bytes]:
    """The files of the database."""
    return {path: path.read_bytes() for path in folder.glob("queue.db*")}


def restore(folder: Path, backup: dict[Path, bytes]) -> None:
    """Put them back as they were."""
    for path in folder.glob("queue.db*"):
        path.unlink()
    for path, data in backup.items():
        path.write_bytes(data)


@pytest.mark.parametrize("note", ["ahead", "missing", "unreadable"])
async def test_a_restored_database_has_a_new_epoch(open_house: Any, tmp_path: Path, note: str) -> None:
    async with open_house() as house:
        await house.submit("e1")
        before = await house.log_start()
    backup = database(tmp_path)
    async with open_house() as house:
        assert await house.log_start() == before, "a restart alone changes nothing"
        await house.submit("lost by the restore")
    restore(tmp_path, backup)
    if note == "missing":
        (tmp_path / "queue.log-place").unlink()
    elif note == "unreadable":
        (tmp_path / "queue.log-place").write_text("{")
    async with open_house() as house:
        with pytest.raises(CursorExpired):
            await read(watching(house, before))
        events, _ = await snapshot(house)
        assert [each.entry_id for each in events] == ["e1"]


async def test_a_broker_killed_before_its_first_note_keeps_its_epoch(open_house: Any, tmp_path: Path) -> None:
    async with open_house() as house:
        note = (tmp_path / "queue.log-place").read_bytes()
        before = await house.log_start()
        await house.submit("e1")
    (tmp_path / "queue.log-place").write_bytes(note)
    async with open_house() as house:
        assert await house.log_start() == before
