"""What operators do to agents, and what becomes of the work there."""

from __future__ import annotations

from typing import Any

import pytest

from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types
from batuta_rpc.errors import AgentNotFound, AgentOnline

CANCELLED = types.ATTEMPT_PHASE_CANCELLED
CAN_DRAIN = ["drain", "resync"]


async def drain(house: Any, agent_id: str = "agent-1", *, seconds: int | None = None, reason: str = "new disks") -> Any:
    request = agents.DrainAgentRequest(agent_id=agent_id, reason=reason)
    if seconds is not None:
        request.deadline.FromMilliseconds(house.clock.unix_millis() + seconds * 1000)
    return (await house.agents_stub.DrainAgent(request)).agent


async def undrain(house: Any, agent_id: str = "agent-1") -> Any:
    return (await house.agents_stub.UndrainAgent(agents.UndrainAgentRequest(agent_id=agent_id))).agent


async def declare_lost(house: Any, agent_id: str = "agent-1", **fields: Any) -> Any:
    return await house.agents_stub.DeclareAgentLost(agents.DeclareAgentLostRequest(agent_id=agent_id, **fields))


async def entry_of(house: Any) -> Any:
    return (await house.stub.ListEntries(queues.ListEntriesRequest(queue_id=house.queue_id))).entries[0]


async def test_a_drained_agent_is_told_and_gets_nothing_until_it_is_undrained(house: Any) -> None:
    agent = house.agent()
    await agent.connect(capabilities=CAN_DRAIN)
    shown = await drain(house)
    assert (shown.drain.reason, shown.drain.HasField("deadline")) == ("new disks", False)
    assert list(shown.capabilities) == CAN_DRAIN
    assert (await agent.next("drain")).reason == "new disks"
    assert (await house.submit("e1")).state == queues.ENTRY_STATE_WAITING
    assert await agent.nothing("assignment")
    assert not (await undrain(house)).HasField("drain")
    await agent.next("undrain")
    assert (await agent.next("assignment")).ref.task_id == "task-of-e1"


async def test_an_agent_that_cannot_drain_is_not_told_and_gets_nothing_all_the_same(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await drain(house)
    await house.submit("e1")
    assert await agent.nothing("assignment")
    assert await agent.nothing("drain")
    await undrain(house)
    assert (await agent.next("assignment")).ref.task_id == "task-of-e1"
    assert await agent.nothing("undrain")


async def test_a_drain_survives_restarts_of_both_sides(open_house: Any) -> None:
    async with open_house() as house:
        agent = house.agent()
        await agent.connect(capabilities=CAN_DRAIN)
        await drain(house)
    async with open_house() as house:
        again = house.agent(instance_id="instance-2")
        await again.connect(capabilities=CAN_DRAIN)
        assert (await again.next("drain")).reason == "new disks"
        assert (await house.submit("e1")).state == queues.ENTRY_STATE_WAITING
        assert await again.nothing("assignment")
        assert (await house.listed("agent-1")).drain.reason == "new disks"


async def test_at_the_deadline_what_runs_is_cancelled_and_tried_again_without_cost(house: Any) -> None:
    agent, other = house.agent(), house.agent("agent-2")
    await agent.connect(capabilities=CAN_DRAIN)
    assignment = await house.running_task(agent, retry=types.RetryPolicy(max_infrastructure_losses=0))
    await drain(house, seconds=30)
    await house.clock.run_for(20)
    assert await agent.nothing("cancel")
    await house.clock.run_for(12)
    cancel = await agent.next("cancel")
    assert (cancel.ref, cancel.reason) == (assignment.ref, agents.CANCEL_REASON_PREEMPTED)
    await agent.report(assignment.ref, CANCELLED)
    assert (await house.story("WAITING", "CANCELLED"))[-1] == ("WAITING", 1, "CANCELLED", "PREEMPTED")
    entry = await entry_of(house)
    assert (entry.preemptions, entry.infrastructure_losses, entry.failures) == (1, 0, 0)
    await other.connect()
    second = await other.next("assignment")
    await other.accept(second)
    await other.report(second.ref, types.ATTEMPT_PHASE_SUCCEEDED)
    assert (await house.story("DONE", "SUCCEEDED"))[-1][1] == 2


async def test_the_cancels_of_a_deadline_reach_an_agent_that_was_away(open_house: Any) -> None:
    async with open_house() as house:
        agent = house.agent()
        await agent.connect(capabilities=CAN_DRAIN)
        assignment = await house.running_task(agent)
        held = dict(agent.held)
        await drain(house, seconds=60)
        agent.cut()
    async with open_house() as house:
        await house.clock.run_for(62)
        again = house.agent()
        again.held = held
        await again.connect(capabilities=CAN_DRAIN)
        cancel = await again.next("cancel")
        assert (cancel.ref, cancel.reason) == (assignment.ref, agents.CANCEL_REASON_PREEMPTED)


async def test_a_persons_abort_stands_above_the_deadline(house: Any) -> None:
    agent = house.agent()
    await agent.connect(capabilities=CAN_DRAIN)
    assignment = await house.running_task(agent)
    await drain(house, seconds=1)
    await house.clock.run_for(3)
    await agent.next("cancel")
    await house.withdraw("e1")
    assert (await agent.next("cancel")).reason == agents.CANCEL_REASON_USER
    await agent.report(assignment.ref, CANCELLED)
    assert (await house.story("DONE", "CANCELLED"))[-1][1] == 1


async def test_a_second_drain_replaces_reason_and_deadline(house: Any) -> None:
    await house.agent().connect()
    await drain(house, seconds=60)
    again = await drain(house, reason="for good")
    assert (again.drain.reason, again.drain.HasField("deadline")) == ("for good", False)


async def test_nobody_drains_an_agent_that_never_joined(house: Any) -> None:
    for call in (drain, undrain, declare_lost):
        with pytest.raises(AgentNotFound):
            await call(house, "nobody")


async def test_an_unhealthy_agent_gets_nothing_and_says_why(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    beat = agents.Heartbeat(heartbeat_number=1, free_assignments=1, unhealthy_reason="GPU 0 fell off the bus")
    await agent.send(agents.SessionRequest(heartbeat=beat))
    await agent.next("heartbeat_ack")
    agent.heartbeat_number = 1
    assert (await house.listed("agent-1")).unhealthy_reason == "GPU 0 fell off the bus"
    assert (await house.submit("e1")).state == queues.ENTRY_STATE_WAITING
    await agent.beat()
    await agent.next("assignment")


async def test_an_agent_declared_lost_loses_everything_at_once_whatever_the_policy(house: Any) -> None:
    agent = house.agent(max_assignments=2)
    await agent.connect()
    for entry_id, policy in (("kept", types.LEASE_POLICY_KEEP), ("strict", types.LEASE_POLICY_STRICT)):
        await house.running_task(agent, entry_id, retry=types.RetryPolicy(lease_policy=policy))
    agent.cut()
    await house.clock.run_for(16)
    answer = await declare_lost(house, reason="burnt")
    assert answer.lost_count == 2
    assert list(answer.agent.assignments) == []
    for entry_id in ("kept", "strict"):
        story = await house.story("WAITING", "LOST", entry_id=entry_id)
        assert story[-1] == ("WAITING", 1, "LOST", "DECLARED_LOST")
    # It was not dead after all: it has to kill what it holds, and its word has no effect.
    welcome = await agent.connect()
    assert list(welcome.expected) == []
    assert len((await agent.beat(free=0)).lost) == 2


async def test_an_agent_that_is_connected_is_not_lost(house: Any) -> None:
    await house.agent().connect()
    with pytest.raises(AgentOnline, match="drain"):
        await declare_lost(house)


@pytest.mark.parametrize(("explained", "state"), [(False, "HELD"), (True, "WAITING")])
async def test_a_death_with_a_known_cause_suspects_no_task(house: Any, explained: bool, state: str) -> None:
    for number in (1, 2):
        agent = house.agent(f"agent-{number}")
        await agent.connect()
        if number == 1:
            await house.submit("e1")
        await agent.accept(await agent.next("assignment"))
        agent.cut()
        await house.clock.run_for(16)
        await declare_lost(house, agent.agent_id, explained=explained)
        await house.clock.run_for(11)
    entry = await entry_of(house)
    assert queues.EntryState.Name(entry.state) == f"ENTRY_STATE_{state}"
    assert entry.infrastructure_losses == 2


async def test_what_a_machine_had_before_it_was_set_up_anew_can_be_declared_lost(house: Any) -> None:
    before = house.agent()
    await before.connect()
    await house.running_task(before, retry=types.RetryPolicy(lease_policy=types.LEASE_POLICY_KEEP))
    before.cut()
    await house.clock.run_for(16)
    anew = house.agent(journal_id="another-folder", max_assignments=2)
    await anew.connect()
    mine = await house.running_task(anew, "e2")
    assert (await declare_lost(house)).lost_count == 1
    assert (await house.story("WAITING", "LOST"))[-1][3] == "DECLARED_LOST"
    # What the connected one has stays its own.
    assert list((await anew.beat()).lost) == []
    await anew.report(mine.ref, types.ATTEMPT_PHASE_SUCCEEDED)
    with pytest.raises(AgentOnline):
        await declare_lost(house)


async def test_work_of_an_agent_that_changed_its_name_is_not_lost_with_the_old_one(house: Any) -> None:
    old = house.agent("old-name", journal_id="folder")
    await old.connect()
    assignment = await house.running_task(old)
    old.cut()
    new = house.agent("new-name", journal_id="folder")
    new.held = dict(old.held)
    assert [each.ref for each in (await new.connect()).expected] == [assignment.ref]
    with pytest.raises(AgentOnline):
        await declare_lost(house, "old-name")
    assert list((await new.beat()).lost) == []
