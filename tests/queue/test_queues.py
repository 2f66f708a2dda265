"""Queues: names, pages, counts."""

from __future__ import annotations

import unicodedata
import uuid
from typing import Any

import pytest

from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types
from batuta_rpc.errors import FieldViolation, QueueNameTaken, QueueNotFound, RequestIdReused, RoleMissing

ID = str(uuid.UUID(int=7, version=4))


async def make(house: Any, name: str, **fields: Any):
    return (await house.stub.CreateQueue(queues.CreateQueueRequest(display_name=name, **fields))).queue


async def test_two_queues_exist_from_the_first_start_and_once_only(open_house: Any) -> None:
    for _ in range(2):
        async with open_house() as house:
            found = (await house.stub.ListQueues(queues.ListQueuesRequest())).queues
            assert [queue.display_name for queue in found] == ["default", "services"]
            assert found[0].spec.lease_policy == types.LEASE_POLICY_STRICT


@pytest.mark.parametrize("name", ["GPU große Kiste", "空 キュー", "a/b;c'd\"e%", "🚂"])
async def test_a_queue_may_have_any_printable_name(house: Any, name: str) -> None:
    made = await make(house, name)
    by_name = await house.stub.GetQueue(queues.GetQueueRequest(display_name=name))
    by_id = await house.stub.GetQueue(queues.GetQueueRequest(queue_id=made.id))
    assert by_name.queue.id == by_id.queue.id == made.id
    assert by_id.queue.display_name == name


@pytest.mark.parametrize("name", ["", " x", "x ", "a\nb", "x" * 257])
async def test_a_name_that_cannot_be_read_is_refused(house: Any, name: str) -> None:
    with pytest.raises(FieldViolation) as caught:
        await make(house, name)
    assert caught.value.field_violations[0][0] == "display_name"


async def test_one_text_typed_in_two_ways_is_one_name(house: Any) -> None:
    made = await make(house, unicodedata.normalize("NFD", "größe"))
    assert made.display_name == unicodedata.normalize("NFC", "größe")
    with pytest.raises(QueueNameTaken) as caught:
        await make(house, unicodedata.normalize("NFC", "größe"))
    assert caught.value.resource == ("queue", made.id)
    found = await house.stub.GetQueue(queues.GetQueueRequest(display_name=unicodedata.normalize("NFD", "größe")))
    assert found.queue.id == made.id


async def test_the_same_request_makes_one_queue(house: Any) -> None:
    first = await make(house, "q", request_id=ID)
    assert await make(house, "q", request_id=ID) == first
    with pytest.raises(RequestIdReused):
        await make(house, "other", request_id=ID)


async def test_an_unknown_queue_is_answered_with_those_that_exist(house: Any) -> None:
    await make(house, "gpu box")
    for request in (queues.GetQueueRequest(display_name="gpu"), queues.GetQueueRequest(queue_id="gpu")):
        with pytest.raises(QueueNotFound) as caught:
            await house.stub.GetQueue(request)
        assert "default, gpu box, services" in caught.value.message
        assert caught.value.metadata["queues"] == "default, gpu box, services"


async def test_queues_come_in_pages_by_name(house: Any) -> None:
    for number in range(5):
        await make(house, f"q{number}")
    names: list[str] = []
    token = ""
    while True:
        page = await house.stub.ListQueues(queues.ListQueuesRequest(page_size=2, page_token=token))
        names += [queue.display_name for queue in page.queues]
        token = page.next_page_token
        if not token:
            break
    assert names == ["default", "q0", "q1", "q2", "q3", "q4", "services"]


@pytest.mark.parametrize("token", ["nonsense", "W10=", "e30="])
async def test_a_page_token_of_another_list_is_refused(house: Any, token: str) -> None:
    for call, request in (
        (house.stub.ListQueues, queues.ListQueuesRequest(page_token=token)),
        (house.stub.ListEntries, queues.ListEntriesRequest(queue_id=house.queue_id, page_token=token)),
    ):
        with pytest.raises(FieldViolation):
            await call(request)


async def test_entries_come_in_pages_in_the_order_in_which_agents_get_them(house: Any) -> None:
    for number in range(5):
        await house.submit(f"e{number}", priority=number % 2)
    first = await house.stub.ListEntries(queues.ListEntriesRequest(queue_id=house.queue_id, page_size=3))
    rest = await house.stub.ListEntries(
        queues.ListEntriesRequest(queue_id=house.queue_id, page_size=3, page_token=first.next_page_token)
    )
    assert [entry.id for entry in [*first.entries, *rest.entries]] == ["e1", "e3", "e0", "e2", "e4"]
    assert rest.next_page_token == ""
    with pytest.raises(QueueNotFound):
        await house.stub.ListEntries(queues.ListEntriesRequest(queue_id="none"))


async def test_a_queue_shows_what_waits_what_runs_and_who_serves_it(house: Any) -> None:
    agent = house.agent(max_assignments=1)
    await agent.connect()
    await house.running_task(agent)
    await house.submit("e2")
    status = (await house.stub.GetQueue(queues.GetQueueRequest(queue_id=house.queue_id))).queue.status
    assert (status.waiting_count, status.running_count, status.agent_count) == (1, 1, 1)


async def test_an_entry_without_a_policy_takes_that_of_its_queue(house: Any) -> None:
    made = await make(house, "fast", spec=queues.QueueSpec(lease_policy=types.LEASE_POLICY_FAST))
    agent = house.agent(queue_ids=[made.id])
    await agent.connect()
    await house.submit("e1", queue_id=made.id)
    assert (await agent.next("assignment")).lease.lost_after.seconds == 60


async def test_viewers_read_and_do_not_write(house: Any) -> None:
    stub: Any = queues.QueueServiceStub(house.service.channel("viewer"))
    await stub.ListQueues(queues.ListQueuesRequest())
    with pytest.raises(RoleMissing):
        await stub.CreateQueue(queues.CreateQueueRequest(display_name="q"))
