"""Claims: in order, once each, whatever agents and queues do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batuta_chassis.tokens import Signer
from batuta_proto.agents import v1 as agents
from batuta_proto.types import v1 as types
from batuta_queue.board import Board
from batuta_queue.book import LeaseBook
from batuta_queue.broker import Broker
from batuta_queue.dispatch import Claim, claim
from batuta_queue.leases import NO_ANSWER, VANISHED, Leases
from batuta_queue.ledger import Ledger
from batuta_queue.model import AttemptPhase, Entry, EntryState, Ref, Report
from batuta_queue.numbers import Numbers
from batuta_queue.outgoing import Outgoing
from batuta_queue.reports import Reports
from batuta_queue.sessions import Session
from batuta_queue.store import QueueStore
from batuta_queue.testing import MemoryTransactor, make_agent, make_entry
from batuta_queue.testing_agent import submit_request
from batuta_queue.transitions import enter
from batuta_rpc.errors import SessionSuperseded
from batuta_rpc.testing import FakeClock, SeededIds, settle, until


def session(agent_id: str = "agent-1", queue_ids: Sequence[str] = ("default",), places: int = 1) -> Session:
    agent = make_agent(agent_id, queue_ids=tuple(queue_ids), max_assignments=places)
    return Session(agent_id, agent, LeaseBook(), Outgoing(256, 1 << 22), 5.0, 0.0)


async def fill(transactor: MemoryTransactor, *entries: Entry) -> None:
    def put(store: QueueStore) -> None:
        store.open_log("epoch")
        ledger = Ledger(store, lambda _steps: None)
        for entry in entries:
            ledger.record(enter(entry))
        ledger.write()

    await transactor.write(put)


async def take(transactor: MemoryTransactor, *wants: tuple[Session, int], now: int = 10_000) -> Claim:
    def run(store: QueueStore) -> Claim:
        ledger = Ledger(store, lambda _steps: None)
        found = claim(store, ledger, wants, now)
        ledger.write()
        return found

    return await transactor.write(run)


async def test_sessions_take_turns_over_one_queue() -> None:
    transactor = MemoryTransactor()
    await fill(transactor, *(make_entry(f"e{n}") for n in range(5)))
    found = await take(transactor, (session("a"), 2), (session("b"), 2))
    assert [(each.session.agent.id, each.entry.id) for each in found.offers] == [
        ("a", "e0"),
        ("b", "e1"),
        ("a", "e2"),
        ("b", "e3"),
    ]
    assert found.emptied == frozenset()


async def test_a_claim_says_which_queues_it_left_empty() -> None:
    transactor = MemoryTransactor()
    await fill(transactor, make_entry("e0"), make_entry("e1", queue_id="other"))
    found = await take(transactor, (session(queue_ids=("default", "other")), 5))
    assert [each.entry.id for each in found.offers] == ["e0", "e1"]
    assert found.emptied == {"default", "other"}


async def test_two_entries_of_one_task_in_one_claim_get_different_numbers() -> None:
    transactor = MemoryTransactor()
    await fill(transactor, make_entry("e0", task_id="t"), make_entry("e1", task_id="t", attempt=1))
    found = await take(transactor, (session(), 2))
    assert sorted(each.attempt.ref.attempt for each in found.offers) == [1, 2]


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(-2, 2)),
        st.tuples(st.just("claim"), st.lists(st.integers(1, 3), min_size=1, max_size=3)),
        st.tuples(st.just("answer"), st.integers(0, 50)),
        st.tuples(st.just("return"), st.integers(0, 50)),
        st.tuples(st.just("finish"), st.integers(0, 50)),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTIONS)
def test_nothing_is_claimed_twice_and_the_order_is_kept(actions: Any) -> None:
    asyncio.run(_history(actions))


async def _history(actions: Any):
    clock, ids = FakeClock(), SeededIds()
    transactor = MemoryTransactor()
    await fill(transactor)
    reports = Reports(transactor, lambda _steps: None, clock, ids)
    leases = Leases(transactor, lambda _steps: None, clock, ids)
    submitted = 0
    numbers: dict[str, int] = {}
    report_number = 0
    for kind, value in actions:
        opened = await transactor.read(lambda store: store.open_attempts())
        offered = [attempt for _, attempt in opened if attempt.phase is AttemptPhase.OFFERED]
        running = [attempt for _, attempt in opened if attempt.phase > AttemptPhase.OFFERED]
        if kind == "submit":
            await fill(transactor, make_entry(f"e{submitted}", priority=value))
            submitted += 1
        elif kind == "claim":
            line = await transactor.read(lambda store: store.waiting("default", 100, clock.unix_millis()))
            wants = [(session(f"agent-{n}", places=count), count) for n, count in enumerate(value)]
            found = await take(transactor, *wants, now=clock.unix_millis())
            assert [each.entry.id for each in found.offers] == [entry.id for entry, _ in line[: sum(value)]]
            for each in found.offers:
                assert each.attempt.ref.attempt == numbers.get(each.entry.id, 0) + 1
                numbers[each.entry.id] = each.attempt.ref.attempt
        elif kind == "return" and offered:
            await leases.give_back([offered[value % len(offered)].ref], NO_ANSWER)
        elif kind in ("answer", "finish"):
            some = offered if kind == "answer" else running
            if not some:
                continue
            chosen = some[value % len(some)]
            report_number += 1
            phase = AttemptPhase.ACCEPTED if kind == "answer" else AttemptPhase.SUCCEEDED
            said = Report(report_number, Ref(*chosen.ref), phase, clock.unix_millis())
            await reports.take(chosen.holder.journal_id, [said])
        # At most one open attempt for each entry, and it is the entry's newest.
        opened = await transactor.read(lambda store: store.open_attempts())
        assert len({entry.id for entry, _ in opened}) == len(opened)
        assert all(attempt.ref.attempt == entry.attempt for entry, attempt in opened)
        assert all(entry.state in (EntryState.OFFERED, EntryState.RUNNING) for entry, _ in opened)
    events = await transactor.read(lambda store: store.events(0, 10_000))
    assert [event.position for event in events] == list(range(1, len(events) + 1))


async def test_a_board_keeps_a_mark_that_came_while_somebody_looked() -> None:
    board = Board()
    board.mark("q")
    marks = board.marks("q")
    board.mark("q")
    board.clear("q", marks, 0)
    assert board.may_wait("q")
    board.clear("q", board.marks("q"), 0)
    assert not board.may_wait("q")


async def test_a_board_serves_sessions_in_turn_and_never_beyond_their_credit() -> None:
    board = Board()
    first, second = session("a", places=1), session("b", places=2)
    board.refresh(first)
    board.refresh(second)
    taken = [board.reserve("default") for _ in range(4)]
    assert [None if each is None else each.agent.id for each in taken] == ["a", "b", "b", None]
    board.release(first, 1)
    assert board.reserve("default") is first


async def test_a_queue_whose_time_comes_later_wakes_nobody_before() -> None:
    board = Board()
    board.refresh(session())
    board.mark_at("default", 500)
    board.due(499)
    assert board.reserve_all(10) == []
    board.due(500)
    assert [count for _, count in board.reserve_all(10)] == [1]


async def test_what_had_come_due_waits_again_when_the_clock_was_put_back_before_somebody_looked() -> None:
    board = Board()
    board.refresh(session())
    board.mark_at("default", 500)
    board.due(500)
    board.clear("default", board.marks("default"), 499)
    assert not board.may_wait("default")
    board.due(500)
    assert board.may_wait("default")
    board.clear("default", board.marks("default"), 500)
    board.due(10_000)
    assert not board.may_wait("default")


async def test_only_attempts_that_are_lost_are_said_to_be(caplog: pytest.LogCaptureFixture) -> None:
    transactor, clock, ids = MemoryTransactor(), FakeClock(), SeededIds()
    await fill(transactor, make_entry("e1"), make_entry("e2"))
    first, second = [each.attempt for each in (await take(transactor, (session(places=2), 2))).offers]
    reports = Reports(transactor, lambda _steps: None, clock, ids)
    journal = first.holder.journal_id
    await reports.take(journal, [Report(1, first.ref, AttemptPhase.SUCCEEDED, 1_000)])
    leases = Leases(transactor, lambda _steps: None, clock, ids)
    await leases.lose([first.ref], VANISHED)
    assert caplog.messages == []
    await leases.lose([first.ref, second.ref], VANISHED)
    assert caplog.messages == ["1 attempts are lost: ATTEMPT_VANISHED"]


async def test_a_broker_starts_on_any_store(tmp_path: Path) -> None:
    clock, ids = FakeClock(), SeededIds()
    transactor = MemoryTransactor()
    broker = Broker(transactor, Signer.load_or_create(tmp_path, "queue", clock, ids), clock, ids, Numbers())
    await broker.start()
    assert [queue.name for queue in await broker.queues.page("", 10)] == ["default", "services"]
    await broker.drain()
    await broker.stop()


async def test_what_an_overtaken_stream_still_says_takes_nothing_away(tmp_path: Path) -> None:
    clock, ids, stuck, slow = FakeClock(), SeededIds(), asyncio.Event(), asyncio.Event()
    broker = Broker(MemoryTransactor(), Signer.load_or_create(tmp_path, "queue", clock, ids), clock, ids, Numbers())
    await broker.start()
    (queue, _) = await broker.queues.page("", 10)
    hello = agents.Hello(
        agent_id="a", instance_id="i", journal_id="j", boot_id="b", queue_ids=[queue.id], max_assignments=1
    )
    ref = agents.AssignmentRef(task_id="task-of-e1", attempt=1)
    accepted = agents.AssignmentReport(report_number=1, ref=ref, phase=types.ATTEMPT_PHASE_ACCEPTED)
    said: list[agents.SessionResponse] = []

    async def old() -> AsyncIterator[agents.SessionRequest]:
        yield agents.SessionRequest(hello=hello)
        await slow.wait()
        yield agents.SessionRequest(heartbeat=agents.Heartbeat(heartbeat_number=1))

    async def new() -> AsyncIterator[agents.SessionRequest]:
        yield agents.SessionRequest(hello=hello)
        await until(lambda: any(each.HasField("assignment") for each in said))
        yield agents.SessionRequest(report=accepted)
        await until(lambda: any(each.HasField("report_ack") for each in said))
        slow.set()
        await settle()

    async def not_read(_message: agents.SessionResponse) -> None:
        await stuck.wait()  # the peer's window is full: the stream cannot even be told that it is over

    async def read(message: agents.SessionResponse) -> None:
        said.append(message)

    first = asyncio.create_task(broker.streams.serve(old(), not_read))
    await until(lambda: len(broker.registry) == 1)
    second = asyncio.create_task(broker.streams.serve(new(), read))
    await until(lambda: any(each.HasField("welcome") for each in said))
    await broker.submitter.submit(submit_request("e1", queue.id))
    await second
    assert broker.book.get(Ref("task-of-e1", 1)) is not None
    stuck.set()
    with pytest.raises(SessionSuperseded):
        await first
    await broker.drain()
    await broker.stop()
