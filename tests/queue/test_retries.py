"""What is tried again, what is set aside, and how that is counted, as the queue service's callers see it."""

from __future__ import annotations

from typing import Any

import pytest
from google.rpc import error_details_pb2, status_pb2

from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types
from batuta_rpc.errors import EntryNotFound

FAILED = types.ATTEMPT_PHASE_FAILED
FAST = types.LEASE_POLICY_FAST
UNFINISHED = (types.ATTEMPT_PHASE_ACCEPTED, types.ATTEMPT_PHASE_PREPARING, types.ATTEMPT_PHASE_RUNNING)


def because(name: str) -> status_pb2.Status:
    status = status_pb2.Status(code=2, message=name)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=name, domain="batuta"))
    return status


async def entry_of(house: Any) -> Any:
    return (await house.stub.ListEntries(queues.ListEntriesRequest(queue_id=house.queue_id))).entries[0]


async def status_of(house: Any) -> Any:
    return (await house.stub.GetQueue(queues.GetQueueRequest(queue_id=house.queue_id))).queue.status


@pytest.mark.parametrize("reason", ["EXIT_CODE", "SIGNAL", "OUT_OF_MEMORY"])
async def test_a_failure_of_the_tasks_own_is_tried_again_as_often_as_asked(house: Any, reason: str) -> None:
    agent = house.agent()
    await agent.connect()
    first = await house.running_task(agent, retry=types.RetryPolicy(max_failures=1, max_infrastructure_losses=0))
    await agent.report(first.ref, FAILED, exit_code=3, reason=because(reason))
    assert (await house.story("WAITING", "FAILED"))[-1] == ("WAITING", 1, "FAILED", reason)
    entry = await entry_of(house)
    assert (entry.failures, entry.infrastructure_losses, entry.preemptions) == (1, 0, 0)
    assert entry.HasField("not_before_time")
    await house.clock.run_for(2)
    assert not (await entry_of(house)).HasField("not_before_time")
    second = await agent.next("assignment")
    await agent.accept(second)
    await agent.report(second.ref, FAILED, exit_code=3, reason=because(reason))
    assert (await house.story("DONE", "FAILED"))[-1] == ("DONE", 2, "FAILED", reason)


async def test_a_gpu_that_failed_costs_a_loss_and_no_failure(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    assignment = await house.running_task(agent)
    await agent.report(assignment.ref, FAILED, reason=because("GPU_UNHEALTHY"))
    await house.story("WAITING", "FAILED")
    entry = await entry_of(house)
    assert (entry.failures, entry.infrastructure_losses) == (0, 1)


async def held_entry(house: Any) -> Any:
    for number in (1, 2):
        agent = house.agent(f"agent-{number}")
        await agent.connect()
        if number == 1:
            await house.submit("e1", retry=types.RetryPolicy(lease_policy=FAST))
        await agent.accept(await agent.next("assignment"))
        agent.cut()
        await house.clock.run_for(62)
        await house.story("WAITING" if number == 1 else "HELD", "LOST")
        await house.clock.run_for(2)
    return await entry_of(house)


async def test_a_held_entry_is_counted_said_why_and_let_go_by_hand(house: Any) -> None:
    held = await held_entry(house)
    assert "agent-1 and then on agent-2" in held.hold_reason
    status = await status_of(house)
    assert (status.held_count, status.waiting_count, status.running_count) == (1, 1, 0)
    third = house.agent("agent-3")
    await third.connect()
    assert await third.nothing("assignment")
    released = (await house.stub.ReleaseEntry(queues.ReleaseEntryRequest(entry_id="e1"))).entry
    assert (released.state, released.infrastructure_losses) == (queues.ENTRY_STATE_WAITING, 0)
    assert (await third.next("assignment")).ref.attempt == 3
    assert (await status_of(house)).held_count == 0


async def test_the_newest_event_of_an_entry_that_was_let_go_still_names_its_last_attempt(house: Any) -> None:
    await held_entry(house)
    await house.stub.ReleaseEntry(queues.ReleaseEntryRequest(entry_id="e1"))
    (event,) = (await house.stub.BatchGetEntries(queues.BatchGetEntriesRequest(entry_ids=["e1"]))).events
    assert (event.entry_state, event.attempt, event.phase) == (queues.ENTRY_STATE_WAITING, 2, types.ATTEMPT_PHASE_LOST)
    assert event.agent_id == "agent-2"


async def test_what_is_not_held_stays_as_it_is_when_released(house: Any) -> None:
    await house.submit("e1")
    for _ in range(2):
        entry = (await house.stub.ReleaseEntry(queues.ReleaseEntryRequest(entry_id="e1"))).entry
        assert entry.state == queues.ENTRY_STATE_WAITING
    assert len(await house.story("WAITING", "UNSPECIFIED")) == 1


async def test_an_entry_that_was_never_submitted_is_not_released(house: Any) -> None:
    await house.withdraw("tombstone")
    for name in ("nobody", "tombstone"):
        with pytest.raises(EntryNotFound, match="batuta queue show"):
            await house.stub.ReleaseEntry(queues.ReleaseEntryRequest(entry_id=name))


async def test_a_held_entry_outlives_a_restart_with_its_counters(open_house: Any) -> None:
    async with open_house() as house:
        before = await held_entry(house)
    async with open_house() as house:
        assert await entry_of(house) == before


@pytest.mark.parametrize(
    "phase", [types.ATTEMPT_PHASE_ACCEPTED, types.ATTEMPT_PHASE_PREPARING, types.ATTEMPT_PHASE_RUNNING]
)
@pytest.mark.parametrize("policy", [types.LEASE_POLICY_STRICT, types.LEASE_POLICY_KEEP])
async def test_a_goodbye_that_gives_up_returns_all_that_is_not_finished(house: Any, phase: Any, policy: Any) -> None:
    agent = house.agent(max_assignments=2)
    await agent.connect()
    assignment = await house.running_task(
        agent, retry=types.RetryPolicy(lease_policy=policy, max_infrastructure_losses=0)
    )
    await agent.report(assignment.ref, phase)
    await house.submit("offered")
    await agent.next("assignment")
    await agent.say_goodbye(keep_leases=False)
    assert (await house.story("WAITING", "LOST"))[-1] == ("WAITING", 1, "LOST", "AGENT_LEFT")
    assert (await house.story("WAITING", "REJECTED", entry_id="offered"))[-1][3] == "OFFER_RETURNED"
    entry = await entry_of(house)
    assert (entry.infrastructure_losses, entry.failures, entry.preemptions) == (0, 0, 0)
