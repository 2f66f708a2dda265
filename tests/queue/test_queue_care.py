"""Queues are renamed, cleared and deleted; what waited in them leaves, and what runs goes on."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types
from batuta_queue.removals import BATCH
from batuta_queue.testing_agent import submit_request
from batuta_rpc.errors import (
    EntryNotFound,
    EtagMismatch,
    FieldViolation,
    IllegalTransition,
    QueueNameTaken,
    QueueNotEmpty,
    QueueNotFound,
    RequestIdReused,
    RoleMissing,
)

ID = str(uuid.UUID(int=7, version=4))


def as_member(house: Any) -> Any:
    return queues.QueueServiceStub(house.channel("member", "ada"))


async def make(house: Any, name: str) -> queues.Queue:
    made: queues.Queue = (await house.stub.CreateQueue(queues.CreateQueueRequest(display_name=name))).queue
    return made


async def update(house: Any, queue: queues.Queue, *paths: str, request_id: str = "") -> queues.Queue:
    request = queues.UpdateQueueRequest(queue=queue, update_mask=FieldMask(paths=paths), request_id=request_id)
    changed: queues.Queue = (await as_member(house).UpdateQueue(request)).queue
    return changed


async def delete(house: Any, queue_id: str, **fields: Any) -> queues.DeleteQueueResponse:
    answer: queues.DeleteQueueResponse = await as_member(house).DeleteQueue(
        queues.DeleteQueueRequest(queue_id=queue_id, **fields)
    )
    return answer


async def free(house: Any, **facts: Any) -> Any:
    agent = house.agent(**facts)
    await agent.connect()
    await agent.beat()
    return agent


async def test_a_queue_is_changed_field_by_field_and_its_etag_guards_it(house: Any) -> None:
    made = await make(house, "gpu")
    named = await update(house, queues.Queue(id=made.id, display_name="gpu large", description="no"), "display_name")
    assert (named.display_name, named.description, named.etag != made.etag) == ("gpu large", "", True)
    asked = queues.Queue(id=made.id, description="eight of them", etag=named.etag)
    asked.spec.lease_policy = types.LEASE_POLICY_FAST
    both = await update(house, asked, "description", "spec.lease_policy")
    assert (both.display_name, both.description) == ("gpu large", "eight of them")
    assert both.spec.lease_policy == types.LEASE_POLICY_FAST
    with pytest.raises(EtagMismatch):
        await update(house, asked, "description")
    found = await house.stub.GetQueue(queues.GetQueueRequest(display_name="gpu large"))
    assert found.queue == both
    with pytest.raises(QueueNotFound):
        await house.stub.GetQueue(queues.GetQueueRequest(display_name="gpu"))


async def test_one_request_changes_once(house: Any) -> None:
    made = await make(house, "gpu")
    changed = await update(house, queues.Queue(id=made.id, display_name="a"), "display_name", request_id=ID)
    await update(house, queues.Queue(id=made.id, display_name="b"), "display_name")
    again = await update(house, queues.Queue(id=made.id, display_name="a"), "display_name", request_id=ID)
    assert (again.display_name, again.etag) == ("a", changed.etag)
    assert (await house.stub.GetQueue(queues.GetQueueRequest(queue_id=made.id))).queue.display_name == "b"
    with pytest.raises(RequestIdReused):
        await update(house, queues.Queue(id=made.id, display_name="c"), "display_name", request_id=ID)


async def test_what_cannot_be_set_is_refused_by_name(house: Any) -> None:
    made = await make(house, "gpu")
    for name, paths, field in (
        (" x", ["display_name"], "queue.display_name"),
        ("", ["*"], "queue.display_name"),
        ("x", ["status"], "update_mask"),
        ("x", [], "update_mask"),
    ):
        with pytest.raises(FieldViolation) as caught:
            await update(house, queues.Queue(id=made.id, display_name=name), *paths)
        assert caught.value.field_violations[0][0] == field
    with pytest.raises(QueueNameTaken) as taken:
        await update(house, queues.Queue(id=made.id, display_name="default"), "display_name")
    assert taken.value.resource == ("queue", house.queue_id)


async def test_a_new_policy_is_that_of_the_next_entry(house: Any) -> None:
    agent = await free(house, max_assignments=2)
    await house.submit("e1")
    assert (await agent.next("assignment")).lease.lost_after.seconds == 1800
    fast = queues.QueueSpec(lease_policy=types.LEASE_POLICY_FAST)
    await update(house, queues.Queue(id=house.queue_id, spec=fast), "spec.lease_policy")
    await house.submit("e2")
    assert (await agent.next("assignment")).lease.lost_after.seconds == 60
    request = submit_request("e3", queue_id=house.queue_id)
    await house.stub.BatchSubmitEntries(queues.BatchSubmitEntriesRequest(entries=[request]))
    await house.submit("e4", retry=types.RetryPolicy(lease_policy=types.LEASE_POLICY_STRICT))
    other = await free(house, agent_id="agent-2", max_assignments=2)
    seconds = [(await other.next("assignment")).lease.lost_after.seconds for _ in range(2)]
    assert seconds == [60, 1800]


async def test_an_empty_queue_is_deleted_and_gone_for_all_that_ask(house: Any) -> None:
    made = await make(house, "gpu")
    await house.submit("e1", queue_id=made.id)
    await house.withdraw("e1")
    assert await delete(house, made.id, request_id=ID) == await delete(house, made.id, request_id=ID)
    for call in (
        house.stub.GetQueue(queues.GetQueueRequest(queue_id=made.id)),
        house.submit("e2", queue_id=made.id),
        house.stub.ListEntries(queues.ListEntriesRequest(queue_id=made.id)),
        delete(house, made.id, force=True),
    ):
        with pytest.raises(QueueNotFound):
            await call
    batch = queues.BatchSubmitEntriesRequest(entries=[submit_request("e3", queue_id=made.id)])
    assert (await house.stub.BatchSubmitEntries(batch)).results[0].status.code == 5
    assert (await house.submit("e1", queue_id=made.id)).state == queues.ENTRY_STATE_WITHDRAWN


async def test_a_queue_with_entries_is_deleted_only_by_force_and_what_runs_ends_as_it_would(house: Any) -> None:
    agent = await free(house)
    assignment = await house.running_task(agent, "e1")
    await house.submit("e2")
    with pytest.raises(QueueNotEmpty, match="1 entries wait and 1 run") as caught:
        await delete(house, house.queue_id)
    assert (caught.value.metadata["waiting"], caught.value.metadata["running"]) == ("1", "1")
    gone = await delete(house, house.queue_id, force=True)
    assert (gone.removed_count, gone.running_count) == (1, 1)
    assert (await house.story("WITHDRAWN", "UNSPECIFIED", entry_id="e2"))[-1] == (
        "WITHDRAWN",
        0,
        "UNSPECIFIED",
        "REMOVED",
    )
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_SUCCEEDED, exit_code=0)
    assert (await house.story("DONE", "SUCCEEDED"))[-1][0] == "DONE"


async def test_what_comes_back_to_a_deleted_queue_leaves_it(house: Any) -> None:
    agent = await free(house)
    assignment = await house.running_task(agent, "e1", retry=types.RetryPolicy(max_failures=3))
    await delete(house, house.queue_id, force=True)
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_FAILED, exit_code=1)
    assert (await house.story("WITHDRAWN", "FAILED"))[-1] == ("WITHDRAWN", 1, "FAILED", "REMOVED")


async def test_an_agent_goes_on_with_its_other_queues_when_one_is_deleted(house: Any) -> None:
    made = await make(house, "gpu")
    agent = await free(house, queue_ids=[made.id, house.queue_id])
    await delete(house, made.id)
    agent.cut()
    again = await free(house, queue_ids=[made.id, house.queue_id])
    await house.submit("e1")
    assert (await again.next("assignment")).ref.task_id == "task-of-e1"
    stranger = house.agent("agent-2", queue_ids=[made.id, house.queue_id])
    with pytest.raises(QueueNotFound):
        await stranger.connect()


async def test_deleted_queues_do_not_come_back_with_the_next_start(open_house: Any) -> None:
    async with open_house() as house:
        found = await house.stub.GetQueue(queues.GetQueueRequest(display_name="services"))
        await delete(house, found.queue.id)
    async with open_house() as house:
        found = await house.stub.ListQueues(queues.ListQueuesRequest())
        assert [queue.display_name for queue in found.queues] == ["default"]


async def test_clearing_takes_out_all_but_what_runs_a_bounded_part_at_a_time(house: Any) -> None:
    agent = await free(house, max_assignments=2)
    await house.running_task(agent, "runs")
    await house.submit("offered")
    offer = await agent.next("assignment")
    for number in range(3):
        await house.submit(f"e{number}")
    member = as_member(house)
    first = await member.ClearQueue(queues.ClearQueueRequest(queue_id=house.queue_id, max_entries=2))
    assert (first.removed_count, first.more) == (2, True)
    assert (await agent.next("cancel")).ref == offer.ref
    rest = await member.ClearQueue(queues.ClearQueueRequest(queue_id=house.queue_id))
    assert (rest.removed_count, rest.more) == (2, False)
    left = await house.stub.ListEntries(queues.ListEntriesRequest(queue_id=house.queue_id))
    assert [entry.id for entry in left.entries] == ["runs"]
    assert (await house.story("WITHDRAWN", "CANCELLED", entry_id="offered"))[-1][3] == "REMOVED"


async def test_more_than_one_commit_takes_is_deleted_too(house: Any) -> None:
    entries = [submit_request(f"e{number}", queue_id=house.queue_id) for number in range(BATCH)]
    await house.stub.BatchSubmitEntries(queues.BatchSubmitEntriesRequest(entries=entries))
    await house.submit("one more")
    assert (await delete(house, house.queue_id, force=True)).removed_count == BATCH + 1


async def test_one_entry_is_taken_out_unless_an_agent_has_it(house: Any) -> None:
    agent = await free(house)
    assignment = await house.running_task(agent, "runs")
    await house.submit("waits")
    member = as_member(house)
    for _ in range(2):
        removed = await member.RemoveEntry(queues.RemoveEntryRequest(entry_id="waits"))
        assert removed.entry.state == queues.ENTRY_STATE_WITHDRAWN
    assert (await house.story("WITHDRAWN", "UNSPECIFIED", entry_id="waits"))[-1][3] == "REMOVED"
    with pytest.raises(IllegalTransition, match="abort task-of-runs"):
        await member.RemoveEntry(queues.RemoveEntryRequest(entry_id="runs"))
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_SUCCEEDED, exit_code=0)
    await house.story("DONE", "SUCCEEDED", entry_id="runs")
    with pytest.raises(IllegalTransition, match="it has ended"):
        await member.RemoveEntry(queues.RemoveEntryRequest(entry_id="runs"))
    with pytest.raises(EntryNotFound):
        await member.RemoveEntry(queues.RemoveEntryRequest(entry_id="none"))


async def test_viewers_change_no_queue(house: Any) -> None:
    viewer: Any = queues.QueueServiceStub(house.channel("viewer"))
    with pytest.raises(RoleMissing):
        await viewer.ClearQueue(queues.ClearQueueRequest(queue_id=house.queue_id))


async def test_entries_are_listed_with_place_and_time_and_by_state(house: Any) -> None:
    agent = await free(house)
    await house.running_task(agent, "runs", priority=1)
    for number in range(3):
        await house.submit(f"e{number}")
        house.clock.advance(10)

    async def listed(**fields: Any) -> Any:
        return await house.stub.ListEntries(queues.ListEntriesRequest(queue_id=house.queue_id, **fields))

    first = await listed(page_size=2)
    rest = await listed(page_size=2, page_token=first.next_page_token)
    found = [*first.entries, *rest.entries]
    assert [(entry.id, entry.place) for entry in found] == [("runs", 0), ("e0", 1), ("e1", 2), ("e2", 3)]
    waited = [house.clock.unix_millis() - entry.wait_time.ToMilliseconds() for entry in found[1:]]
    assert (waited, found[0].HasField("wait_time")) == ([30_000, 20_000, 10_000], False)
    waiting = await listed(page_size=2, states=[queues.ENTRY_STATE_WAITING])
    assert [(entry.id, entry.place) for entry in waiting.entries] == [("e0", 1), ("e1", 2)]
    with pytest.raises(FieldViolation):
        await listed(page_size=2, page_token=waiting.next_page_token)
    with pytest.raises(FieldViolation):
        await listed(states=[queues.ENTRY_STATE_DONE])
    running = await listed(states=[queues.ENTRY_STATE_RUNNING])
    assert [entry.id for entry in running.entries] == ["runs"]


async def test_an_entry_that_comes_back_waits_since_then(house: Any) -> None:
    agent = await free(house)
    assignment = await house.running_task(agent, "e1", retry=types.RetryPolicy(max_failures=3))
    house.clock.advance(20)
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_FAILED, exit_code=1)
    await house.story("WAITING", "FAILED")
    entry = (await house.stub.ListEntries(queues.ListEntriesRequest(queue_id=house.queue_id))).entries[0]
    assert entry.wait_time.ToMilliseconds() - entry.enqueue_time.ToMilliseconds() == 20_000
