"""Entries are put elsewhere, and agents get them in the order that this leaves."""

from __future__ import annotations

from typing import Any

import pytest

from batuta_proto.queues import v1 as queues
from batuta_rpc.errors import EntryNotFound, FieldViolation, IllegalTransition, QueueFull, QueueNotFound, RoleMissing


@pytest.fixture
async def line(house: Any) -> Any:
    """Entries `a`, `b` and `c` in this order, `c` of a lower priority."""
    for entry_id, priority in (("a", 0), ("b", 0), ("c", -1)):
        await house.submit(entry_id, priority=priority)
    return house


async def move(house: Any, entry_id: str, **place: Any) -> queues.Entry:
    stub: Any = queues.QueueServiceStub(house.channel("member"))
    entry: queues.Entry = (await stub.MoveEntry(queues.MoveEntryRequest(entry_id=entry_id, **place))).entry
    return entry


async def order(house: Any, queue_id: str = "") -> str:
    answer = await house.stub.ListEntries(queues.ListEntriesRequest(queue_id=queue_id or house.queue_id))
    return "".join(entry.id for entry in answer.entries)


async def given_out(house: Any, count: int) -> str:
    """What an agent with room for as many gets, in order."""
    agent = house.agent(max_assignments=count)
    await agent.connect()
    await agent.beat()
    tasks = [(await agent.next("assignment")).ref.task_id for _ in range(count)]
    return "".join(task.removeprefix("task-of-") for task in tasks)


@pytest.mark.parametrize(
    ("entry_id", "place", "left"),
    [
        ("c", {"first": True}, "cab"),
        ("b", {"first": True}, "bac"),
        ("a", {"first": True}, "abc"),
        ("a", {"last": True}, "bca"),
        ("c", {"last": True}, "abc"),
        ("c", {"before_entry_id": "b"}, "acb"),
        ("a", {"before_entry_id": "c"}, "bac"),
        ("b", {"before_entry_id": "b"}, "abc"),
        ("a", {}, "bac"),
    ],
)
async def test_agents_get_entries_in_the_order_that_a_move_leaves(
    line: Any, entry_id: str, place: dict[str, Any], left: str
) -> None:
    await move(line, entry_id, **place)
    assert await order(line) == left
    assert await given_out(line, 3) == left


async def test_what_comes_after_a_move_to_the_end_stands_behind_it(line: Any) -> None:
    for entry_id in ("a", "b", "a", "a"):
        await move(line, entry_id)
    await line.submit("d")
    assert await order(line) == "badc"


async def test_a_moved_entry_has_the_priority_of_its_place(line: Any) -> None:
    assert (await move(line, "a", last=True)).priority == -1
    assert (await move(line, "a", before_entry_id="b")).priority == 0


async def test_what_an_agent_has_or_has_ended_stays(line: Any) -> None:
    assert await given_out(line, 1) == "a"
    await line.withdraw("c")
    for entry_id, state in (("a", "OFFERED"), ("c", "WITHDRAWN")):
        with pytest.raises(IllegalTransition) as caught:
            await move(line, entry_id, before_entry_id="b")
        assert caught.value.metadata["state"] == state
    assert await order(line) == "ab"


async def test_a_place_that_is_not_there_is_refused(line: Any) -> None:
    with pytest.raises(EntryNotFound):
        await move(line, "x", first=True)
    with pytest.raises(QueueNotFound):
        await move(line, "a", queue_id="x")
    with pytest.raises(FieldViolation):
        await move(line, "a", before_entry_id="x")
    await line.withdraw("c")
    with pytest.raises(FieldViolation):
        await move(line, "a", before_entry_id="c")
    viewer: Any = queues.QueueServiceStub(line.channel("viewer"))
    with pytest.raises(RoleMissing):
        await viewer.MoveEntry(queues.MoveEntryRequest(entry_id="a", first=True))


async def test_an_entry_moves_to_another_queue_and_its_log_says_so(line: Any) -> None:
    other = (await line.stub.CreateQueue(queues.CreateQueueRequest(display_name="other"))).queue
    await line.submit("z", queue_id=other.id)
    agent = line.agent(queue_ids=[other.id], max_assignments=2)
    await move(line, "a", queue_id=other.id)
    await move(line, "b", queue_id=other.id, before_entry_id="a")
    assert [await order(line), await order(line, other.id)] == ["c", "zba"]
    newest = await line.stub.BatchGetEntries(queues.BatchGetEntriesRequest(entry_ids=["a", "c"]))
    assert [event.queue_id for event in newest.events] == [other.id, line.queue_id]
    await agent.connect()
    await agent.beat()
    assert [(await agent.next("assignment")).ref.task_id for _ in range(2)] == ["task-of-z", "task-of-b"]


async def test_an_agent_that_waits_gets_what_comes_into_its_queue(line: Any) -> None:
    other = (await line.stub.CreateQueue(queues.CreateQueueRequest(display_name="other"))).queue
    agent = line.agent(queue_ids=[other.id])
    await agent.connect()
    await agent.beat()
    await move(line, "b", queue_id=other.id)
    assert (await agent.next("assignment")).ref.task_id == "task-of-b"


async def test_moves_count_in_how_full_a_queue_is(open_house: Any) -> None:
    async with open_house(max_queue_entries=1) as house:
        other = (await house.stub.CreateQueue(queues.CreateQueueRequest(display_name="other"))).queue
        await house.submit("a")
        await move(house, "a", queue_id=other.id)
        await house.submit("b")
        with pytest.raises(QueueFull):
            await move(house, "b", queue_id=other.id)
