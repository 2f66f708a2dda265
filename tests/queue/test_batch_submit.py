"""Many tasks in one call, as the caller sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
import pytest

from batuta_proto.queues import v1 as queues
from batuta_queue.testing_agent import submit_request
from batuta_rpc.errors import FieldViolation


async def batch(house: Any, names: Sequence[str], queue_id: str = "") -> list[queues.SubmitResult]:
    requests = [submit_request(name, queue_id or house.queue_id) for name in names]
    answer = await house.stub.BatchSubmitEntries(queues.BatchSubmitEntriesRequest(entries=requests))
    return list(answer.results)


async def listed(house: Any) -> list[str]:
    answer = await house.stub.ListEntries(queues.ListEntriesRequest(queue_id=house.queue_id))
    return [entry.id for entry in answer.entries]


async def test_many_tasks_stand_in_the_order_in_which_they_were_named(house: Any) -> None:
    await house.submit("first")
    names = [f"e{number}" for number in range(7)]
    results = await batch(house, names)
    assert [each.state for each in results] == [queues.ENTRY_STATE_WAITING] * 7
    assert await listed(house) == ["first", *names]


async def test_the_log_tells_of_each_of_them(house: Any) -> None:
    await batch(house, ["e0", "e1"])
    answer = await house.stub.BatchGetEntries(queues.BatchGetEntriesRequest(entry_ids=["e1", "e0"]))
    assert [event.entry_id for event in answer.events] == ["e1", "e0"]
    assert [event.entry_state for event in answer.events] == [queues.ENTRY_STATE_WAITING] * 2
    assert answer.events[0].position == answer.events[1].position + 1


async def test_an_agent_that_waits_gets_the_first_of_them(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await batch(house, ["e0", "e1"])
    assert (await agent.next("assignment")).ref.task_id == "task-of-e0"


async def test_what_is_known_already_is_answered_and_stays_as_it_is(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await house.running_task(agent, "e1")
    results = await batch(house, ["e0", "e1", "e0", "e2"])
    assert [each.status.code for each in results] == [grpc.StatusCode.OK.value[0]] * 4
    assert results[1].state == queues.ENTRY_STATE_RUNNING
    assert await listed(house) == ["e1", "e0", "e2"]


async def test_one_that_is_refused_hinders_no_other(house: Any) -> None:
    requests = [submit_request("e0", house.queue_id), submit_request("e1", "nowhere")]
    answer = await house.stub.BatchSubmitEntries(queues.BatchSubmitEntriesRequest(entries=requests))
    taken, refused = answer.results
    assert taken.state == queues.ENTRY_STATE_WAITING
    assert refused.status.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert "default, services" in refused.status.message
    assert refused.state == queues.ENTRY_STATE_UNSPECIFIED
    assert await listed(house) == ["e0"]


async def test_a_full_queue_refuses_new_ones_and_knows_those_it_has(open_house: Any) -> None:
    async with open_house(max_queue_entries=2) as house:
        await batch(house, ["e0", "e1"])
        known, new = await batch(house, ["e1", "e2"])
        assert known.state == queues.ENTRY_STATE_WAITING
        assert new.status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
        assert await listed(house) == ["e0", "e1"]


async def test_a_batch_of_none_names_the_field(house: Any) -> None:
    with pytest.raises(FieldViolation) as caught:
        await batch(house, [])
    assert [field for field, _ in caught.value.field_violations] == ["entries"]
