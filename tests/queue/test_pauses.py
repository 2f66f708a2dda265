"""Nothing of a paused queue is offered; what runs goes on."""

from __future__ import annotations

from typing import Any

import pytest

from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types
from batuta_rpc.errors import QueueNotFound, RoleMissing


async def pause(house: Any, subject: str = "ada") -> queues.Queue:
    stub: Any = queues.QueueServiceStub(house.channel("member", subject))
    queue: queues.Queue = (await stub.PauseQueue(queues.PauseQueueRequest(queue_id=house.queue_id))).queue
    return queue


async def resume(house: Any) -> queues.Queue:
    stub: Any = queues.QueueServiceStub(house.channel("member", "ada"))
    queue: queues.Queue = (await stub.ResumeQueue(queues.ResumeQueueRequest(queue_id=house.queue_id))).queue
    return queue


async def shown(house: Any) -> queues.Queue:
    queue: queues.Queue = (await house.stub.GetQueue(queues.GetQueueRequest(queue_id=house.queue_id))).queue
    return queue


async def test_what_comes_into_a_paused_queue_is_offered_once_it_is_resumed(house: Any) -> None:
    agent = house.agent(max_assignments=2)
    await agent.connect()
    await agent.beat()
    await pause(house)
    await house.submit("a")
    await house.submit("b")
    assert await agent.nothing("assignment")
    assert (await shown(house)).status.waiting_count == 2
    await resume(house)
    assert [(await agent.next("assignment")).ref.task_id for _ in range(2)] == ["task-of-a", "task-of-b"]


async def test_what_runs_in_a_paused_queue_goes_on(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await agent.beat()
    assignment = await house.running_task(agent)
    await pause(house)
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_SUCCEEDED, exit_code=0)
    assert (await house.story("DONE", "SUCCEEDED"))[-1][0] == "DONE"


async def test_a_pause_stands_over_a_restart_and_names_who_set_it_first(open_house: Any) -> None:
    async with open_house() as house:
        first = await pause(house)
        house.clock.advance(60)
        assert await pause(house, "ben") == first
        assert (first.status.paused_by, first.status.HasField("pause_time")) == ("ada", True)
        await house.submit("a")
    async with open_house() as house:
        agent = house.agent()
        await agent.connect()
        await agent.beat()
        assert await agent.nothing("assignment")
        assert (await shown(house)).status.paused_by == "ada"
        assert (await house.stub.ListQueues(queues.ListQueuesRequest())).queues[0].status.paused_by == "ada"
        assert not (await resume(house)).status.HasField("pause_time")
        assert (await agent.next("assignment")).ref.task_id == "task-of-a"


async def test_only_members_pause_queues_that_exist(house: Any) -> None:
    viewer: Any = queues.QueueServiceStub(house.channel("viewer"))
    with pytest.raises(RoleMissing):
        await viewer.PauseQueue(queues.PauseQueueRequest(queue_id=house.queue_id))
    member: Any = queues.QueueServiceStub(house.channel("member"))
    with pytest.raises(QueueNotFound):
        await member.ResumeQueue(queues.ResumeQueueRequest(queue_id="x"))
