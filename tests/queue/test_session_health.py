"""Sessions that go wrong without breaking: silence, peers that do not read, memories that differ, crowds."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types
from batuta_queue.book import LeaseBook
from batuta_queue.numbers import LEASE_TERMS, Numbers
from batuta_queue.outgoing import Outgoing
from batuta_queue.sessions import Session, SessionRegistry
from batuta_queue.testing import make_agent
from batuta_queue.writers import Writers
from batuta_rpc.errors import ProtocolViolation, RateLimited, SlowConsumer, Unavailable
from batuta_rpc.testing import FakeClock, settle

CAPABLE = ["drain", "resync"]


async def stand_still(house: Any) -> None:
    """The broker's process is stopped for five minutes and goes on."""
    house.clock.advance(300)
    await house.clock.run_for(2)


async def test_welcome_says_that_a_second_hello_is_taken(house: Any) -> None:
    assert list((await house.agent().connect()).capabilities) == ["resync"]


async def test_a_broker_that_stood_still_asks_for_everything_again_and_takes_it_on_the_same_stream(house: Any) -> None:
    agent = house.agent(max_assignments=2)
    first = await agent.connect(capabilities=CAPABLE)
    kept = await house.running_task(agent, "kept")
    dropped = await house.running_task(agent, "dropped")
    await stand_still(house)
    await agent.next("resync")
    del agent.held[dropped.ref.task_id, dropped.ref.attempt]
    await agent.say_hello(capabilities=CAPABLE, labels={"rack": "8"})
    welcome = await agent.next("welcome")
    assert (welcome.session_id, welcome.resumed) == (first.session_id, True)
    assert [each.ref for each in welcome.expected] == [kept.ref]
    assert (await house.story("WAITING", "LOST", entry_id="dropped"))[-1][3] == "ATTEMPT_VANISHED"
    assert dict((await house.listed("agent-1")).labels) == {"rack": "8"}
    await agent.report(kept.ref, types.ATTEMPT_PHASE_SUCCEEDED)


async def test_an_agent_that_cannot_answer_is_not_asked(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await stand_still(house)
    assert await agent.nothing("resync")


async def test_a_second_hello_may_name_other_queues(house: Any) -> None:
    other = (await house.stub.GetQueue(queues.GetQueueRequest(display_name="services"))).queue.id
    agent = house.agent()
    await agent.connect(capabilities=CAPABLE)
    await stand_still(house)
    await agent.next("resync")
    await agent.say_hello(capabilities=CAPABLE, queue_ids=[other])
    await agent.next("welcome")
    assert (await house.submit("old")).state == queues.ENTRY_STATE_WAITING
    await house.submit("new", queue_id=other)
    assert (await agent.next("assignment")).ref.task_id == "task-of-new"


@pytest.mark.parametrize("fact", ["agent_id", "instance_id", "journal_id", "boot_id"])
async def test_a_second_hello_of_somebody_else_ends_the_stream(house: Any, fact: str) -> None:
    agent = house.agent()
    await agent.connect(capabilities=CAPABLE)
    await stand_still(house)
    await agent.next("resync")
    await agent.say_hello(**{fact: "another"})
    assert isinstance(await agent.end(), ProtocolViolation)


async def test_each_resync_allows_one_hello(house: Any) -> None:
    agent = house.agent()
    await agent.connect(capabilities=CAPABLE)
    await stand_still(house)
    await agent.next("resync")
    await agent.say_hello(capabilities=CAPABLE)
    await agent.next("welcome")
    await agent.say_hello(capabilities=CAPABLE)
    assert isinstance(await agent.end(), ProtocolViolation)


async def test_an_offer_under_way_goes_back_when_everything_is_said_again(house: Any) -> None:
    agent = house.agent()
    await agent.connect(capabilities=CAPABLE)
    await house.submit("e1", retry=types.RetryPolicy(max_infrastructure_losses=0))
    await agent.next("assignment")
    agent.heartbeat_number += 1
    await agent.beat()
    await agent.next("resync")
    await agent.say_hello(capabilities=CAPABLE)
    await agent.next("welcome")
    assert (await agent.next("assignment")).ref.attempt == 2


async def test_a_heartbeat_that_is_missing_has_everything_said_again_once(house: Any) -> None:
    agent = house.agent()
    await agent.connect(capabilities=CAPABLE)
    agent.heartbeat_number += 5
    await agent.beat()
    await agent.next("resync")
    agent.heartbeat_number += 5
    assert await agent.nothing("resync")


async def test_an_agent_whose_heartbeats_are_always_wrong_is_not_asked_at_each_of_them(house: Any) -> None:
    agent = house.agent()
    await agent.connect(capabilities=CAPABLE)
    agent.heartbeat_number += 5
    await agent.beat()
    await agent.next("resync")
    await agent.say_hello(capabilities=CAPABLE)
    await agent.next("welcome")
    agent.heartbeat_number += 5
    assert await agent.nothing("resync")
    house.clock.advance(31)
    agent.heartbeat_number += 5
    await agent.beat()
    await agent.next("resync")


async def test_a_stream_on_which_nothing_comes_is_ended_and_keeps_its_leases(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    assignment = await house.running_task(agent)
    await house.clock.run_for(28)
    assert (await house.listed("agent-1")).state == agents.AGENT_STATE_OFFLINE
    await house.clock.run_for(3)
    error = await agent.end()
    assert isinstance(error, Unavailable)
    assert [each.ref for each in (await agent.connect()).expected] == [assignment.ref]


async def test_any_message_keeps_a_stream_alive(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    for _ in range(4):
        await house.clock.run_for(20)
        await agent.beat()
    assert (await house.listed("agent-1")).state == agents.AGENT_STATE_ONLINE


async def test_unknown_messages_are_counted_in_the_log(house: Any, caplog: pytest.LogCaptureFixture) -> None:
    agent = house.agent()
    await agent.connect()
    with caplog.at_level(logging.WARNING, logger="batuta_queue.inbox"):
        for _ in range(11):
            await agent.send(agents.SessionRequest.FromString(b"\xba\x06\x02\x08\x01"))
        await agent.beat()
    lines = [record.getMessage() for record in caplog.records if "does not know" in record.getMessage()]
    assert ["sent 1 messages" in lines[0], "sent 10 messages" in lines[1], len(lines)] == [True, True, 2]


async def test_more_sessions_than_allowed_are_refused_with_a_time_to_come_again(open_house: Any) -> None:
    async with open_house(max_sessions=1) as house:
        first, second = house.agent("agent-1"), house.agent("agent-2")
        await first.connect()
        second.open()
        await second.say_hello()
        error = await second.end()
        assert isinstance(error, RateLimited)
        assert error.retry_delay
        # The one that is here may come again.
        await first.connect()


async def test_a_peer_that_takes_nothing_loses_its_stream_and_its_offers(open_house: Any) -> None:
    async with open_house(write_within=5.0, silence=3600.0, accept_within=3600.0, outgoing_bytes=1 << 26) as house:
        deaf = house.agent("deaf", max_assignments=1000)
        await deaf.connect()
        for number in range(16):  # more than sockets and transports hold on their own
            await house.submit(f"e{number}", data=b"x" * 1_000_000)
        await house.clock.run_for(10)
        other = house.agent("other")
        await other.connect()
        assert (await other.next("assignment")).ref.attempt == 2
        assert (await house.listed("deaf")).state == agents.AGENT_STATE_OFFLINE
        assert isinstance(await deaf.end(), SlowConsumer)


def ack(number: int) -> agents.SessionResponse:
    return agents.SessionResponse(report_ack=agents.ReportAck(report_number=number))


async def test_a_write_that_takes_too_long_is_torn_and_says_why() -> None:
    writers, outgoing = Writers(FakeClock()), Outgoing(10, 1000)

    async def stuck(_message: agents.SessionResponse) -> None:
        await asyncio.Event().wait()

    outgoing.put(ack(1))
    with writers.writer(outgoing, stuck) as writer:
        running = asyncio.ensure_future(writer.run())
        await settle()
        writers.tear(19.0, 20.0)
        await settle()
        assert not running.done()
        writers.tear(20.0, 20.0)
        with pytest.raises(SlowConsumer):
            await running
    assert len(writers) == 0


async def test_a_stream_that_was_ended_waits_no_longer_for_its_peer() -> None:
    writers, outgoing = Writers(FakeClock()), Outgoing(10, 1000)

    async def stuck(_message: agents.SessionResponse) -> None:
        await asyncio.Event().wait()

    outgoing.put(ack(1))
    with writers.writer(outgoing, stuck) as writer:
        running = asyncio.ensure_future(writer.run())
        await settle()
        outgoing.fail(Unavailable("over"))
        writers.tear(1.0, 20.0)
        with pytest.raises(SlowConsumer):
            await running


async def test_a_caller_who_leaves_is_no_slow_peer() -> None:
    writers, outgoing = Writers(FakeClock()), Outgoing(10, 1000)

    async def quick(_message: agents.SessionResponse) -> None:
        """Takes it."""

    with writers.writer(outgoing, quick) as writer:
        running = asyncio.ensure_future(writer.run())
        await settle()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


def crowd(count: int, **numbers: Any) -> SessionRegistry:
    registry = SessionRegistry(Numbers(**numbers))
    for number in range(count):
        agent = make_agent(f"agent-{number}")
        registry.replace(Session(f"s{number}", agent, LeaseBook(), Outgoing(9, 999), 5.0, 0.0))
    return registry


@pytest.mark.parametrize(("count", "period"), [(0, 5.0), (50, 5.0), (100, 10.0), (1000, 15.0)])
def test_heartbeats_become_more_seldom_in_a_crowd_and_never_too_seldom(count: int, period: float) -> None:
    assert crowd(count, heartbeats_per_second=10.0).period() == period


def test_the_longest_period_fits_the_shortest_lease() -> None:
    numbers = Numbers()
    longest = numbers.longest_heartbeat_period * (1 + numbers.heartbeat_jitter)
    for terms in LEASE_TERMS.values():
        if terms.kill_when_lost:
            stop_after = terms.lost_after * 0.99 - terms.kill_grace - 5
            assert 2 * longest < stop_after
            assert longest * numbers.offline_periods < terms.lost_after


async def test_the_answer_to_a_heartbeat_tells_the_new_period(open_house: Any) -> None:
    async with open_house(heartbeats_per_second=0.1, heartbeat_jitter=0.0) as house:
        agent = house.agent()
        await agent.connect()
        assert (await agent.beat()).heartbeat_period.seconds == 10


def test_an_agent_is_not_offline_by_a_period_it_has_not_heard_of() -> None:
    registry = crowd(1)
    session = registry.all()[0]
    session.pace(15.0)
    session.pace(5.0)
    assert registry.online(session, 44.0)
    session.pace(5.0)
    assert not registry.online(session, 44.0)


def test_an_older_copy_of_a_state_folder_is_overtaken_only_while_the_later_process_is_there() -> None:
    registry = SessionRegistry(Numbers())
    agent = make_agent("agent-1")
    registry.replace(Session("s", agent, LeaseBook(), Outgoing(9, 999), 5.0, 0.0, start_number=3))
    overtaken = [registry.is_overtaken(agent.journal_id, number, 1.0) for number in (0, 1, 2, 3, 4)]
    assert overtaken == [False, True, True, False, False]
    assert not registry.is_overtaken("another-folder", 1, 1.0)
    assert not registry.is_overtaken(agent.journal_id, 1, 100.0)  # unheard for long
