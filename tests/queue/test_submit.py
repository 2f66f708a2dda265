"""Submit and withdraw, as their callers see them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types
from batuta_queue.testing_agent import submit_request
from batuta_rpc.errors import FieldViolation, QueueFull, QueueNotFound, RoleMissing


async def test_the_same_entry_again_changes_nothing(house: Any) -> None:
    first = await house.submit("e1", priority=3)
    again = await house.submit("e1", priority=9)
    assert first == again
    assert again.priority == 3
    assert len(await house.story("WAITING", "UNSPECIFIED")) == 1


async def test_a_submit_to_an_unknown_queue_lists_the_queues(house: Any) -> None:
    with pytest.raises(QueueNotFound) as caught:
        await house.submit("e1", queue_id="nowhere")
    assert "default, services" in caught.value.message
    assert caught.value.metadata["queues"] == "default, services"


async def test_a_submit_that_breaks_rules_names_the_fields(house: Any) -> None:
    with pytest.raises(FieldViolation) as caught:
        await house.submit("e1", task_id="", attempt_floor=-1)
    assert {field for field, _ in caught.value.field_violations} == {"envelope.task_id", "envelope.attempt_floor"}


async def test_agents_may_not_submit(house: Any) -> None:
    stub: Any = queues.QueueServiceStub(house.service.channel("agent"))
    with pytest.raises(RoleMissing):
        await stub.SubmitEntry(submit_request("e1", house.queue_id))


async def test_a_submit_answers_with_the_offer_that_it_made(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    entry = await house.submit("e1")
    assert (entry.state, entry.attempt, entry.agent_id) == (queues.ENTRY_STATE_OFFERED, 1, "agent-1")
    await agent.next("assignment")


async def test_a_submit_does_not_overtake_what_waits(house: Any) -> None:
    for number in range(3):
        await house.submit(f"e{number}")
    agent = house.agent()
    # Credit appears and a submit comes at the same moment: the head of the queue goes first whoever is quicker.
    _, entry = await asyncio.gather(agent.connect(), house.submit("late"))
    assert (await agent.next("assignment")).ref.task_id == "task-of-e0"
    assert entry.state in (queues.ENTRY_STATE_WAITING, queues.ENTRY_STATE_OFFERED)


async def test_many_submits_at_once_reach_many_agents_once_each(house: Any) -> None:
    crowd = [house.agent(f"agent-{n}", max_assignments=5) for n in range(4)]
    for agent in crowd:
        await agent.connect()
    await asyncio.gather(*(house.submit(f"e{n}") for n in range(30)))

    async def drain(agent: Any) -> list[str]:
        got = []
        while len(got) < 5:
            got.append((await agent.next("assignment")).ref.task_id)
        return got

    taken = [task for some in await asyncio.gather(*map(drain, crowd)) for task in some]
    assert len(taken) == len(set(taken)) == 20
    for agent in crowd:
        assert await agent.nothing("assignment")


async def test_a_waiting_entry_is_withdrawn_at_once(house: Any) -> None:
    await house.submit("e1")
    response = await house.withdraw("e1")
    assert response.entry.state == queues.ENTRY_STATE_WITHDRAWN
    assert (await house.withdraw("e1")).entry.state == queues.ENTRY_STATE_WITHDRAWN
    assert (await house.story("WITHDRAWN", "UNSPECIFIED"))[-1] == ("WITHDRAWN", 0, "UNSPECIFIED", "")
    agent = house.agent()
    await agent.connect()
    assert await agent.nothing("assignment")


async def test_withdrawing_before_the_submit_arrives_leaves_a_tombstone(house: Any) -> None:
    assert not (await house.withdraw("e1")).HasField("entry")
    assert not (await house.withdraw("e1")).HasField("entry")
    assert (await house.submit("e1")).state == queues.ENTRY_STATE_WITHDRAWN
    agent = house.agent()
    await agent.connect()
    assert await agent.nothing("assignment")


async def test_a_running_entry_is_cancelled_on_its_agent(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    assignment = await house.running_task(agent)
    request = queues.WithdrawEntryRequest(entry_id="e1")
    request.grace.FromMilliseconds(1500)
    response = await house.stub.WithdrawEntry(request)
    assert response.entry.state == queues.ENTRY_STATE_RUNNING
    cancel = await agent.next("cancel")
    assert cancel.ref == assignment.ref
    assert cancel.grace.ToMilliseconds() == 1500
    assert cancel.reason == agents.CANCEL_REASON_USER
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_CANCELLED, signal=2)
    assert (await house.story("DONE", "CANCELLED"))[-1] == ("DONE", 1, "CANCELLED", "")


async def test_a_standing_cancel_follows_every_welcome(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    assignment = await house.running_task(agent)
    agent.cut()
    await house.withdraw("e1")
    for _ in range(2):
        await agent.connect()
        cancel = await agent.next("cancel")
        assert cancel.ref == assignment.ref
        assert cancel.grace.ToSeconds() == 30
        agent.cut()


async def test_a_cancel_wins_over_an_acceptance_that_comes_later(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await house.submit("e1")
    assignment = await agent.next("assignment")
    assert (await house.withdraw("e1")).entry.state == queues.ENTRY_STATE_WITHDRAWN
    assert (await agent.next("cancel")).ref == assignment.ref
    await agent.accept(assignment)
    assert len((await agent.beat(free=0)).lost) == 1
    assert (await house.story("WITHDRAWN", "CANCELLED"))[-1] == ("WITHDRAWN", 1, "CANCELLED", "")


async def test_an_entry_that_has_ended_stays_as_it_is(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    assignment = await house.running_task(agent)
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_SUCCEEDED)
    assert (await house.withdraw("e1")).entry.state == queues.ENTRY_STATE_DONE


async def test_a_task_that_comes_again_gets_a_higher_attempt(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    assignment = await house.running_task(agent, "e1", task_id="t")
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_FAILED, exit_code=1)
    await house.submit("e2", task_id="t")
    assert (await agent.next("assignment")).ref.attempt == 2


async def test_a_caller_who_leaves_leaves_no_credit_reserved(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    call = house.stub.SubmitEntry(submit_request("e1", house.queue_id))
    task = asyncio.ensure_future(call)
    task.cancel()
    await asyncio.wait([task])
    await house.submit("e2")
    first = await agent.next("assignment")
    await agent.accept(first)
    await agent.report(first.ref, types.ATTEMPT_PHASE_SUCCEEDED)
    if first.ref.task_id == "task-of-e1":
        assert (await agent.next("assignment")).ref.task_id == "task-of-e2"


async def test_a_full_queue_refuses_more_until_something_ends(open_house: Any) -> None:
    async with open_house(max_queue_entries=2) as house:
        await house.submit("e1")
        await house.submit("e2")
        with pytest.raises(QueueFull) as caught:
            await house.submit("e3")
        assert caught.value.metadata["limit"] == "2"
    async with open_house(max_queue_entries=2) as house:
        with pytest.raises(QueueFull):
            await house.submit("e3")
        await house.withdraw("e1")
        await house.submit("e3")


async def test_an_entry_that_a_full_queue_holds_already_is_not_refused(open_house: Any) -> None:
    async with open_house(max_queue_entries=1) as house:
        first = await house.submit("e1")
        assert await house.submit("e1") == first
        with pytest.raises(QueueFull):
            await house.submit("e2")
