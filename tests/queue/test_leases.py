"""What silence does, and what a start of the broker does."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import timestamp_pb2

from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types

RUNNING = types.ATTEMPT_PHASE_RUNNING


@pytest.mark.parametrize(("policy", "seconds"), [("LEASE_POLICY_FAST", 60), ("LEASE_POLICY_STRICT", 1800)])
async def test_work_moves_when_its_lease_runs_out_and_not_before(house: Any, policy: str, seconds: int) -> None:
    agent = house.agent()
    await agent.connect()
    await house.running_task(agent, retry=types.RetryPolicy(lease_policy=policy))
    agent.cut()
    await house.clock.run_for(seconds - 5)
    assert (await house.story("RUNNING", "ACCEPTED"))[-1][0] == "RUNNING"
    other = house.agent("agent-2")
    await other.connect()
    assert await other.nothing("assignment")
    await house.clock.run_for(7)
    assert (await house.story("WAITING", "LOST"))[-1] == ("WAITING", 1, "LOST", "LEASE_EXPIRED")
    await other.beat()
    await house.clock.run_for(2)
    assert (await other.next("assignment")).ref.attempt == 2


async def test_work_under_keep_never_moves(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    assignment = await house.running_task(agent, retry=types.RetryPolicy(lease_policy=types.LEASE_POLICY_KEEP))
    assert not assignment.lease.kill_when_lost
    agent.cut()
    await house.clock.run_for(4000)
    assert [each.ref for each in (await agent.connect()).expected] == [assignment.ref]


async def test_heartbeats_keep_a_lease_alive(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    assignment = await house.running_task(agent, retry=types.RetryPolicy(lease_policy=types.LEASE_POLICY_FAST))
    for _ in range(20):
        await house.clock.run_for(5)
        assert list((await agent.beat()).lost) == []
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_SUCCEEDED)
    assert (await house.story("DONE", "SUCCEEDED"))[-1][1] == 1


async def test_a_zombie_is_told_and_its_reports_have_no_effect(house: Any) -> None:
    zombie, other = house.agent("agent-1"), house.agent("agent-2")
    await zombie.connect()
    assignment = await house.running_task(zombie, retry=types.RetryPolicy(lease_policy=types.LEASE_POLICY_FAST))
    zombie.cut()
    await house.clock.run_for(62)
    await house.story("WAITING", "LOST")
    await other.connect()
    await house.clock.run_for(2)
    second = await other.next("assignment")
    await other.accept(second)
    assert list((await zombie.connect()).expected) == []
    assert [ref.attempt for ref in (await zombie.beat(free=0)).lost] == [1]
    await zombie.report(assignment.ref, types.ATTEMPT_PHASE_SUCCEEDED)
    await other.report(second.ref, types.ATTEMPT_PHASE_FAILED, exit_code=1)
    assert (await house.story("DONE", "FAILED"))[-1] == ("DONE", 2, "FAILED", "")


async def test_a_task_that_loses_two_agents_in_a_row_is_held(house: Any) -> None:
    for number in (1, 2):
        agent = house.agent(f"agent-{number}")
        await agent.connect()
        if number == 1:
            await house.submit("e1", retry=types.RetryPolicy(lease_policy=types.LEASE_POLICY_FAST))
        assignment = await agent.next("assignment")
        await agent.accept(assignment)
        agent.cut()
        await house.clock.run_for(62)
        await house.story("WAITING" if number == 1 else "HELD", "LOST")
        await house.clock.run_for(2)
    assert (await house.story("HELD", "LOST"))[-1] == ("HELD", 2, "LOST", "LEASE_EXPIRED")
    listed = await house.stub.ListEntries(queues.ListEntriesRequest(queue_id=house.queue_id))
    assert "agent-1" in listed.entries[0].hold_reason
    assert (await house.withdraw("e1")).entry.state == queues.ENTRY_STATE_WITHDRAWN


async def test_a_failure_that_blames_the_machine_is_tried_again(house: Any) -> None:
    from google.rpc import error_details_pb2, status_pb2

    status = status_pb2.Status(code=14, message="the package index does not answer")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="ENVIRONMENT_INFRASTRUCTURE", domain="batuta"))
    agent = house.agent()
    await agent.connect()
    assignment = await house.running_task(agent)
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_FAILED, reason=status)
    assert (await house.story("WAITING", "FAILED"))[-1] == ("WAITING", 1, "FAILED", "ENVIRONMENT_INFRASTRUCTURE")
    await house.clock.run_for(2)
    assert (await agent.next("assignment")).ref.attempt == 2


async def test_a_broker_that_stood_still_takes_nobodys_work(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await house.running_task(agent, retry=types.RetryPolicy(lease_policy=types.LEASE_POLICY_FAST))
    house.clock.advance(300)
    await house.clock.run_for(3)
    assert list((await agent.beat()).lost) == []


async def test_a_restarted_broker_readopts_what_its_agents_hold(open_house: Any) -> None:
    async with open_house() as house:
        agent = house.agent(max_assignments=3)
        await agent.connect()
        kept = await house.running_task(agent, "kept")
        await house.running_task(agent, "dropped")
        await house.submit("offered")
        await agent.next("assignment")
        await house.submit("waiting")
        held = dict(agent.held)
    async with open_house() as house:
        # The offer went back at the start, before any agent came.
        assert (await house.story("WAITING", "REJECTED", entry_id="offered"))[-1][1] == 1
        again = house.agent(max_assignments=3)
        again.held = {ref: phase for ref, phase in held.items() if ref[0] == "task-of-kept"}
        again.held[("task-of-nobody", 3)] = RUNNING
        welcome = await again.connect(resume_session_id=agent.session_id)
        assert not welcome.resumed
        assert [each.ref for each in welcome.expected] == [kept.ref]
        assert welcome.report_number == 2
        assert [ref.task_id for ref in (await again.beat()).lost] == ["task-of-nobody"]
        assert (await house.story("WAITING", "LOST", entry_id="dropped"))[-1][3] == "ATTEMPT_VANISHED"
        got = await again.next("assignment")
        assert (got.ref.task_id, got.ref.attempt) == ("task-of-offered", 2)
        await again.report(kept.ref, types.ATTEMPT_PHASE_SUCCEEDED)


async def test_a_restarted_broker_gives_every_lease_a_fresh_term(open_house: Any) -> None:
    async with open_house() as house:
        agent = house.agent()
        await agent.connect()
        assignment = await house.running_task(agent, retry=types.RetryPolicy(lease_policy=types.LEASE_POLICY_FAST))
        held = dict(agent.held)
        agent.cut()
        await house.clock.run_for(50)
    async with open_house() as house:
        await house.clock.run_for(50)
        again = house.agent()
        again.held = held
        assert [each.ref for each in (await again.connect()).expected] == [assignment.ref]


async def test_a_broker_that_goes_down_sends_its_agents_away_for_a_moment(open_house: Any) -> None:
    async with open_house() as house:
        agent = house.agent()
        await agent.connect()
        await house.running_task(agent)
        await house.service.process.stop(grace=5)
        disconnect = await agent.next("disconnect")
        assert 0.1 <= disconnect.reconnect_after.ToMilliseconds() / 1000 <= 2.0
        assert await agent.end() is None


async def test_an_agent_is_offline_after_three_silent_periods_and_keeps_its_work(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await house.running_task(agent)
    shown = await house.listed("agent-1")
    assert shown.state == agents.AGENT_STATE_ONLINE
    assert [each.task_id for each in shown.assignments] == ["task-of-e1"]
    await house.clock.run_for(16)
    assert (await house.listed("agent-1")).state == agents.AGENT_STATE_OFFLINE
    await house.submit("e2")
    assert list((await agent.beat()).lost) == []
    assert (await house.listed("agent-1")).state == agents.AGENT_STATE_ONLINE


async def test_a_silent_agent_is_offered_nothing(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await house.clock.run_for(17)
    entry = await house.submit("e1")
    assert entry.state == queues.ENTRY_STATE_WAITING
    await agent.beat()
    await agent.next("assignment")


async def test_a_report_from_the_future_happened_now(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    assignment = await house.running_task(agent)
    future = timestamp_pb2.Timestamp(seconds=house.clock.unix_millis() // 1000 + 10 * 365 * 86_400)
    await agent.report(assignment.ref, RUNNING, event_time=future)
    async for event in house.watch():
        if event.phase == RUNNING:
            assert event.event_time.ToMilliseconds() == house.clock.unix_millis()
            return
