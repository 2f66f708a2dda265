"""The API and the real queue service together, with an agent that speaks the session stream and does nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from batuta_api.__main__ import build as build_api
from batuta_chassis.testing import Running, running
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_queue.__main__ import build as build_queue
from batuta_queue.testing_agent import FakeAgent
from batuta_rpc.errors import QueueNotFound


class Both:
    """Both services on one set of keys."""

    def __init__(self, api: Running, queue: Running, stubs: Any) -> None:
        self.queue = queue
        self.api = api
        self.member = stubs(api)

    async def agent(self, name: str = "agent-1", **fields: Any) -> FakeAgent:
        """An agent that serves the default queue."""
        found = await self.member.queues.GetQueue(queues.GetQueueRequest(display_name="default"))
        agent = FakeAgent(self.queue.channel("agent", subject=f"agent:{name}"), [found.queue.id], name, **fields)
        await agent.connect()
        await agent.beat()
        return agent


@pytest.fixture
async def both(tmp_path: Path, make_stubs: Any) -> AsyncIterator[Both]:
    """Both services, started."""
    keys = tmp_path / "keys"
    async with running(build_queue, tmp_path / "queue", service="queue", keys_dir=keys) as queue:
        settings: dict[str, Any] = {"queue_endpoint": queue.settings.endpoint, "keys_dir": keys}
        async with running(build_api, tmp_path / "api", service="api", **settings) as api:
            yield Both(api, queue, make_stubs)


async def test_a_task_goes_to_an_agent_and_back(both: Both) -> None:
    agent = await both.agent()
    task, _ = await both.member.queued(source=tasks.Source(script="print(1)"))
    assignment = await agent.next("assignment")
    assert (assignment.ref.task_id, assignment.ref.attempt) == (task.id, 1)
    assert tasks.Task.FromString(assignment.payload).spec.source.script == "print(1)"
    run = both.member.on(both.api.channel(token=assignment.attempt_token))
    assert await run.write_log(task.id, 1, b"preparing\n") == 10  # before the event that announces it
    await agent.accept(assignment)
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_RUNNING)
    running_task = await both.member.until(task.id, lambda seen: seen.status.HasField("start_time"))
    assert (running_task.status.state, running_task.status.agent_id) == (tasks.TASK_STATE_RUNNING, "agent-1")
    tail = types.ProducerTail(producer="console", kind=types.TAIL_KIND_LOG, end=14)
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_SUCCEEDED, exit_code=0, tails=[tail])
    await both.member.until_state(task.id, tasks.TASK_STATE_COMPLETED)
    assert await run.write_log(task.id, 1, b"bye\n", offset=10) == 14


async def test_an_abort_of_a_queued_task_takes_its_entry_out(both: Both) -> None:
    task, _ = await both.member.queued()
    await both.member.tasks.AbortTask(tasks.AbortTaskRequest(task_id=task.id))
    await both.member.tasks.EnqueueTask(tasks.EnqueueTaskRequest(task_id=task.id, queue_name="default"), timeout=10)
    agent = await both.agent()
    assignment = await agent.next("assignment")
    assert assignment.ref.task_id == task.id
    assert await agent.nothing("assignment")


async def test_an_abort_of_a_running_task_reaches_its_agent_and_ends_it(both: Both) -> None:
    agent = await both.agent()
    task, _ = await both.member.queued()
    assignment = await agent.next("assignment")
    await agent.accept(assignment)
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_RUNNING)
    await both.member.until_state(task.id, tasks.TASK_STATE_RUNNING)
    await both.member.tasks.AbortTask(tasks.AbortTaskRequest(task_id=task.id, message="enough"))
    cancel = await agent.next("cancel")
    assert cancel.ref == assignment.ref
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_CANCELLED)
    ended = await both.member.until_state(task.id, tasks.TASK_STATE_ABORTED)
    assert ended.status.message == "enough"


async def test_a_task_aborted_while_its_offer_was_on_the_way_never_ends_twice(both: Both) -> None:
    agent = await both.agent()
    task, _ = await both.member.queued()
    assignment = await agent.next("assignment")
    await both.member.tasks.AbortTask(tasks.AbortTaskRequest(task_id=task.id))
    await agent.send_report(1, assignment.ref, types.ATTEMPT_PHASE_ACCEPTED)
    await agent.beat()
    answer = await both.member.tasks.EnqueueTask(
        tasks.EnqueueTaskRequest(task_id=task.id, queue_name="default"), timeout=10
    )
    assert answer.task.status.attempt >= assignment.ref.attempt
    agent.held.clear()
    agent.cut()
    second = await both.agent("agent-2")
    again = await second.next("assignment")
    assert (again.ref.task_id, again.ref.attempt > assignment.ref.attempt) == (task.id, True)


async def test_an_unknown_queue_is_named_with_those_that_exist(both: Both) -> None:
    draft = await both.member.draft()
    with pytest.raises(QueueNotFound, match="default") as missing:
        await both.member.tasks.EnqueueTask(tasks.EnqueueTaskRequest(task_id=draft.id, queue_name="gpu"))
    assert "services" in missing.value.message


async def test_a_task_names_the_queue_that_it_was_moved_to(both: Both) -> None:
    task, _ = await both.member.queued()
    made = await both.member.queues.CreateQueue(queues.CreateQueueRequest(display_name="other"))
    home = task.status.queue_id
    entries = (await both.member.queues.ListEntries(queues.ListEntriesRequest(queue_id=home))).entries
    while not entries:  # on its way from the API
        entries = (await both.member.queues.ListEntries(queues.ListEntriesRequest(queue_id=home))).entries
    await both.member.queues.MoveEntry(queues.MoveEntryRequest(entry_id=entries[0].id, queue_id=made.queue.id))
    moved = await both.member.until(task.id, lambda seen: seen.status.queue_id == made.queue.id)
    assert (moved.status.queue_name, moved.status.state) == ("other", tasks.TASK_STATE_QUEUED)


async def rename(both: Both, queue_id: str, name: str) -> None:
    request = queues.UpdateQueueRequest(queue=queues.Queue(id=queue_id, display_name=name))
    request.update_mask.paths.append("display_name")
    await both.member.queues.UpdateQueue(request)


async def enqueued(both: Both, name: str) -> tasks.Task:
    draft = await both.member.draft()
    answer = await both.member.tasks.EnqueueTask(tasks.EnqueueTaskRequest(task_id=draft.id, queue_name=name))
    task: tasks.Task = answer.task
    return task


async def test_a_name_that_went_to_another_queue_means_that_one_at_once(both: Both) -> None:
    first = await enqueued(both, "default")
    await rename(both, first.status.queue_id, "old")
    made = (await both.member.queues.CreateQueue(queues.CreateQueueRequest(display_name="default"))).queue
    assert (await enqueued(both, "default")).status.queue_id == made.id
    assert (await enqueued(both, "old")).status.queue_id == first.status.queue_id
    await both.member.queues.DeleteQueue(queues.DeleteQueueRequest(queue_id=made.id, force=True))
    with pytest.raises(QueueNotFound, match="old"):
        await enqueued(both, "default")


async def waiting(both: Both, queue_id: str, count: int) -> list[queues.Entry]:
    """So many entries of a queue, once they have arrived."""
    while True:
        found = (await both.member.queues.ListEntries(queues.ListEntriesRequest(queue_id=queue_id))).entries
        if len(found) == count:
            return list(found)


async def test_tasks_that_are_taken_out_at_the_queue_are_drafts_again_and_say_why(both: Both) -> None:
    made = [await enqueued(both, "default") for _ in range(3)]
    home = made[0].status.queue_id
    entries = {entry.task_id: entry.id for entry in await waiting(both, home, 3)}
    await both.member.queues.RemoveEntry(queues.RemoveEntryRequest(entry_id=entries[made[0].id]))
    first = await both.member.until_state(made[0].id, tasks.TASK_STATE_DRAFT)
    assert (first.status.queue_name, first.status.reason) == ("", "")
    assert first.status.message == "taken out of queue 'default' by ada"
    await both.member.queues.ClearQueue(queues.ClearQueueRequest(queue_id=home, max_entries=1))
    second = await both.member.until_state(made[1].id, tasks.TASK_STATE_DRAFT)
    assert second.status.message == "queue 'default' was cleared by ada"
    await both.member.queues.DeleteQueue(queues.DeleteQueueRequest(queue_id=home, force=True))
    third = await both.member.until_state(made[2].id, tasks.TASK_STATE_DRAFT)
    assert third.status.message == "queue 'default' was deleted by ada"
    again = await both.member.tasks.EnqueueTask(
        tasks.EnqueueTaskRequest(task_id=first.id, queue_name="services"), timeout=10
    )
    assert again.task.status.message == ""


async def test_a_task_that_comes_back_to_a_deleted_queue_is_a_draft_again(both: Both) -> None:
    agent = await both.agent()
    task, _ = await both.member.queued()
    assignment = await agent.next("assignment")
    await agent.accept(assignment)
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_RUNNING)
    await both.member.until_state(task.id, tasks.TASK_STATE_RUNNING)
    home = task.status.queue_id
    gone = await both.member.queues.DeleteQueue(queues.DeleteQueueRequest(queue_id=home, force=True))
    assert (gone.removed_count, gone.running_count) == (0, 1)
    agent.held.clear()
    await agent.beat()
    draft = await both.member.until_state(task.id, tasks.TASK_STATE_DRAFT)
    assert "its queue was deleted while it ran" in draft.status.message
    assert draft.status.attempt == assignment.ref.attempt
