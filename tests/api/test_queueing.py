"""Into a queue and out of it, with a queue service of ours behind the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from batuta_api.__main__ import build
from batuta_api.tasks.entries import MEDIA_TYPE
from batuta_chassis.testing import running
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_rpc.errors import (
    EtagMismatch,
    FieldViolation,
    IllegalTransition,
    QueueFull,
    QueueNotFound,
    RateLimited,
    StaleAttempt,
    UpstreamUnavailable,
)

ID = "0e6c4d1a-0000-4000-8000-000000000001"
QUEUED, RUNNING, ABORTED = tasks.TASK_STATE_QUEUED, tasks.TASK_STATE_RUNNING, tasks.TASK_STATE_ABORTED
FAILED, COMPLETED, STOPPING = tasks.TASK_STATE_FAILED, tasks.TASK_STATE_COMPLETED, tasks.TASK_STATE_STOPPING
WAITING, ON_AGENT, DONE = queues.ENTRY_STATE_WAITING, queues.ENTRY_STATE_RUNNING, queues.ENTRY_STATE_DONE


async def arrived(api: Any, entry_id: str) -> queues.SubmitEntryRequest:
    """The submission of an entry, once it has arrived."""
    service = api.queue.service
    await api.eventually(lambda: entry_id in service.entries)
    return next(each for each in service.submissions if each.entry_id == entry_id)


async def on_agent(api: Any, member: Any, **spec: Any) -> tuple[tasks.Task, str]:
    """A task that runs on an agent, and its entry."""
    task, entry = await member.queued(**spec)
    await arrived(api, entry)
    api.queue.service.tell(entry, ON_AGENT, types.ATTEMPT_PHASE_RUNNING, 1, agent_id="a1", host="gpu1")
    return await member.until_state(task.id, RUNNING), entry


async def test_an_enqueued_task_reaches_the_queue_with_all_that_is_needed_to_run_it(api: Any, member: Any) -> None:
    spec = {"source": tasks.Source(script="print(1)"), "resources": types.Resources(gpus=1)}
    draft = await member.draft(**spec)
    request = tasks.EnqueueTaskRequest(task_id=draft.id, queue_name="default", priority=5)
    answer = await member.tasks.EnqueueTask(request)
    assert (answer.task.status.state, answer.task.status.queue_name) == (QUEUED, "default")
    told = await arrived(api, answer.entry_id)
    envelope = told.envelope
    assert (envelope.task_id, envelope.queue_id, envelope.priority, envelope.owner) == (draft.id, "q-1", 5, "ada")
    assert (envelope.resources.gpus, envelope.attempt_floor) == (1, 0)
    assert told.payload_media_type == MEDIA_TYPE
    assert tasks.Task.FromString(told.payload) == answer.task
    caller = api.queue.service.tokens[-1]
    assert caller != api.running.tokens.of("member")


async def test_what_a_task_asks_of_retries_is_kept_edited_copied_and_sent_to_the_queue(api: Any, member: Any) -> None:
    asked = types.RetryPolicy(
        lease_policy=types.LEASE_POLICY_FAST, max_failures=2, time_limit=Duration(seconds=90, nanos=1)
    )
    draft = await member.draft(retry=asked)
    asked.time_limit.nanos = 1_000_000  # kept to the millisecond, rounded up
    assert draft.spec.retry == asked
    asked.max_infrastructure_losses = 0
    draft.spec.retry.CopyFrom(asked)
    mask = FieldMask(paths=["spec.retry"])
    changed = (await member.tasks.UpdateTask(tasks.UpdateTaskRequest(task=draft, update_mask=mask))).task
    assert changed.spec.retry == asked
    copy = (await member.tasks.CloneTask(tasks.CloneTaskRequest(task_id=draft.id))).task
    queue = tasks.EnqueueTaskRequest(task_id=copy.id, queue_name="default")
    answer = await member.tasks.EnqueueTask(queue)
    assert (await arrived(api, answer.entry_id)).envelope.retry == asked
    plain, entry = await member.queued()
    assert not plain.spec.HasField("retry")
    assert (await arrived(api, entry)).envelope.retry == types.RetryPolicy()


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_failures": 101},
        {"max_infrastructure_losses": -1},
        {"lease_policy": 9},
        {"time_limit": Duration(seconds=0)},
    ],
)
async def test_a_wrong_retry_policy_is_refused_by_name(member: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(FieldViolation, match=next(iter(wrong))):
        await member.draft(retry=types.RetryPolicy(**wrong))


async def test_a_large_task_travels_without_its_body(api: Any, member: Any) -> None:
    _, entry = await member.queued(source=tasks.Source(script="#" * 300_000))
    assert (await arrived(api, entry)).payload == b""


async def test_an_unknown_queue_is_refused_with_the_names_of_those_that_exist(api: Any, member: Any) -> None:
    draft = await member.draft()
    with pytest.raises(QueueNotFound, match="there are: default"):
        await member.tasks.EnqueueTask(tasks.EnqueueTaskRequest(task_id=draft.id, queue_name="gpu"))
    request = tasks.EnqueueTaskRequest(task_id=draft.id, queue_name="gpu", create_queue=True)
    answer = await member.tasks.EnqueueTask(request)
    assert answer.task.status.queue_name == "gpu"
    assert "gpu" in [queue.display_name for queue in api.queue.service.queues.values()]


async def test_a_queue_is_looked_up_once_and_by_id_too(api: Any, member: Any) -> None:
    for _ in range(3):
        await member.queued()
    assert api.queue.service.calls.count("GetQueue") == 1
    draft = await member.draft()
    answer = await member.tasks.EnqueueTask(tasks.EnqueueTaskRequest(task_id=draft.id, queue_id="q-1"))
    assert answer.task.status.queue_name == "default"


async def test_the_same_enqueue_asked_twice_makes_one_entry(api: Any, member: Any) -> None:
    draft = await member.draft()
    request = tasks.EnqueueTaskRequest(task_id=draft.id, queue_name="default", request_id=ID)
    first, again = [await member.tasks.EnqueueTask(request) for _ in range(2)]
    assert first == again
    with pytest.raises(IllegalTransition, match="QUEUED"):
        await member.tasks.EnqueueTask(tasks.EnqueueTaskRequest(task_id=draft.id, queue_name="default"))
    await arrived(api, first.entry_id)
    assert len(api.queue.service.submissions) == 1


async def test_a_local_run_ends_and_queues_in_one_step_and_its_tail_is_still_taken(api: Any, member: Any) -> None:
    started = await member.started()
    tail = types.ProducerTail(producer="console", kind=types.TAIL_KIND_LOG, end=6)
    request = tasks.EnqueueTaskRequest(task_id=started.id, queue_name="default", local_attempt=1, tails=[tail])
    answer = await member.tasks.EnqueueTask(request)
    assert (answer.task.status.state, answer.task.status.attempt_open) == (QUEUED, False)
    assert (await arrived(api, answer.entry_id)).envelope.attempt_floor == 1
    assert await member.write_log(started.id, 1, b"bye...") == 6
    with pytest.raises(StaleAttempt):
        await member.write_log(started.id, 1, b"more", offset=6)
    with pytest.raises(StaleAttempt):
        await member.tasks.FinishTask(tasks.FinishTaskRequest(task_id=started.id, attempt=1, state=COMPLETED))


async def test_a_wrong_guard_or_attempt_queues_nothing(api: Any, member: Any) -> None:
    started = await member.started()
    with pytest.raises(EtagMismatch):
        await member.tasks.EnqueueTask(
            tasks.EnqueueTaskRequest(task_id=started.id, queue_name="default", local_attempt=1, etag="9")
        )
    with pytest.raises(StaleAttempt):
        await member.tasks.EnqueueTask(
            tasks.EnqueueTaskRequest(task_id=started.id, queue_name="default", local_attempt=2)
        )
    with pytest.raises(IllegalTransition):
        await member.tasks.EnqueueTask(tasks.EnqueueTaskRequest(task_id=started.id, queue_name="default"))
    assert not api.queue.service.submissions


async def test_a_task_goes_through_its_whole_life_by_events(api: Any, member: Any) -> None:
    task, entry = await on_agent(api, member)
    assert (task.status.agent_id, task.status.host, task.status.attempt_open) == ("a1", "gpu1", True)
    api.queue.service.tell(entry, DONE, types.ATTEMPT_PHASE_SUCCEEDED, 1, exit_code=0)
    ended = await member.until_state(task.id, COMPLETED)
    assert (ended.status.exit_code, ended.status.attempt_open) == (0, False)


async def test_a_failure_tells_its_reason(api: Any, member: Any) -> None:
    task, entry = await on_agent(api, member)
    api.queue.service.tell(entry, DONE, types.ATTEMPT_PHASE_FAILED, 1, signal=11, reason={"message": "SIGSEGV"})
    ended = await member.until_state(task.id, FAILED)
    assert (ended.status.reason, ended.status.message, ended.status.signal) == ("SIGNAL", "SIGSEGV", 11)


async def test_an_ended_task_can_be_queued_again_and_its_attempts_go_on_counting(api: Any, member: Any) -> None:
    task, entry = await on_agent(api, member)
    api.queue.service.tell(entry, DONE, types.ATTEMPT_PHASE_FAILED, 1, exit_code=1)
    await member.until_state(task.id, FAILED)
    answer = await member.tasks.EnqueueTask(tasks.EnqueueTaskRequest(task_id=task.id, queue_name="default"))
    assert (await arrived(api, answer.entry_id)).envelope.attempt_floor == 1
    api.queue.service.tell(entry, DONE, types.ATTEMPT_PHASE_SUCCEEDED, 1)  # the old entry no longer counts
    api.queue.service.tell(answer.entry_id, ON_AGENT, types.ATTEMPT_PHASE_RUNNING, 2)
    assert (await member.until_state(task.id, RUNNING)).status.attempt == 2


async def test_a_queued_task_is_aborted_at_once_and_its_entry_withdrawn(api: Any, member: Any) -> None:
    task, entry = await member.queued()
    request = tasks.AbortTaskRequest(task_id=task.id, message="not needed")
    aborted = (await member.tasks.AbortTask(request)).task
    assert (aborted.status.state, aborted.status.message) == (ABORTED, "not needed")
    assert (await member.tasks.AbortTask(request)).task.status.state == ABORTED
    await api.eventually(lambda: api.queue.service.withdrawals == [entry])
    assert [each.entry_id for each in api.queue.service.submissions] == [entry]  # in order: first in, then out


async def test_an_aborted_task_whose_offer_was_taken_stays_aborted_and_no_number_is_given_twice(
    api: Any, member: Any
) -> None:
    task, entry = await member.queued()
    await arrived(api, entry)
    api.queue.service.entries[entry].attempt = 3  # offered and taken; the events are not here yet
    await member.tasks.AbortTask(tasks.AbortTaskRequest(task_id=task.id))
    await api.eventually(lambda: api.queue.service.withdrawals == [entry])
    await member.until(task.id, lambda seen: seen.status.attempt == 3)
    api.queue.service.tell(entry, DONE, types.ATTEMPT_PHASE_CANCELLED, 3)
    answer = await member.tasks.EnqueueTask(tasks.EnqueueTaskRequest(task_id=task.id, queue_name="default"))
    assert (await arrived(api, answer.entry_id)).envelope.attempt_floor == 3


async def test_a_running_task_stops_and_then_is_aborted(api: Any, member: Any) -> None:
    task, entry = await on_agent(api, member)
    stopping = (await member.tasks.AbortTask(tasks.AbortTaskRequest(task_id=task.id, message="enough"))).task
    assert stopping.status.state == STOPPING
    await api.eventually(lambda: api.queue.service.withdrawals == [entry])
    api.queue.service.tell(entry, DONE, types.ATTEMPT_PHASE_CANCELLED, 1)
    ended = await member.until_state(task.id, ABORTED)
    assert (ended.status.reason, ended.status.message) == ("USER_ABORT", "enough")


async def test_a_running_task_that_the_queue_service_has_forgotten_can_still_be_aborted(api: Any, member: Any) -> None:
    task, entry = await on_agent(api, member)
    del api.queue.service.entries[entry]  # its database was lost
    await member.tasks.AbortTask(tasks.AbortTaskRequest(task_id=task.id))
    ended = await member.until_state(task.id, ABORTED)
    assert not ended.status.attempt_open


async def test_a_local_run_is_told_to_stop_by_watching(api: Any, member: Any) -> None:
    started = await member.started()
    await member.tasks.AbortTask(tasks.AbortTaskRequest(task_id=started.id))
    assert (await member.until_state(started.id, STOPPING)).status.attempt_open
    finish = tasks.FinishTaskRequest(task_id=started.id, attempt=1, state=ABORTED)
    assert (await member.tasks.FinishTask(finish)).task.status.state == ABORTED
    assert not api.queue.service.withdrawals


@pytest.mark.parametrize(
    "error", [QueueFull("the queue is full"), QueueNotFound("there is no queue q-1; there are: none")]
)
async def test_a_submission_that_is_refused_for_good_fails_the_task_with_the_reason(
    api: Any, member: Any, error: Any
) -> None:
    api.queue.service.refuse_submit = error
    task, _ = await member.queued()
    failed = await member.until_state(task.id, FAILED)
    assert failed.status.reason == error.reason
    assert error.message in failed.status.message


async def test_what_was_acknowledged_while_the_queue_service_was_away_arrives_when_it_is_back(
    api: Any, member: Any
) -> None:
    await member.queued()  # the queue's name is known now
    await api.queue.stop()
    task, entry = await member.queued()
    assert task.status.state == QUEUED
    draft = await member.draft()
    with pytest.raises(UpstreamUnavailable):
        await member.tasks.EnqueueTask(tasks.EnqueueTaskRequest(task_id=draft.id, queue_name="elsewhere"))
    aborted = (await member.tasks.AbortTask(tasks.AbortTaskRequest(task_id=task.id))).task
    with pytest.raises(UpstreamUnavailable, match="try again"):
        await member.tasks.EnqueueTask(tasks.EnqueueTaskRequest(task_id=aborted.id, queue_name="default"))
    await api.queue.start()
    await api.eventually(lambda: entry in api.queue.service.withdrawals)
    await member.until(task.id, lambda seen: seen.etag != aborted.etag)
    await member.tasks.EnqueueTask(tasks.EnqueueTaskRequest(task_id=aborted.id, queue_name="default"))


async def test_a_queue_that_asks_for_patience_gets_its_entries_later_and_in_order(api: Any, member: Any) -> None:
    service = api.queue.service
    service.refuse_submit = RateLimited("too much at once", retry_delay=0.05)
    task, entry = await member.queued()
    await api.eventually(lambda: len(service.submissions) >= 2)
    assert (await member.get(task.id)).status.state == QUEUED
    await member.tasks.AbortTask(tasks.AbortTaskRequest(task_id=task.id))
    assert service.withdrawals == []  # it waits behind its submission
    service.refuse_submit = None
    await api.eventually(lambda: service.withdrawals == [entry])
    assert entry in service.entries


async def test_a_queue_that_was_away_gets_what_waited_a_few_at_a_time(api: Any, member: Any) -> None:
    service = api.queue.service
    await member.queued()  # the name of the queue is known then
    await api.queue.stop()
    waiting = [await member.queued() for _ in range(200)]
    await api.queue.start()
    await api.eventually(lambda: all(entry in service.entries for _, entry in waiting), 20.0)
    assert service.most_at_once <= 64
    assert len({each.entry_id for each in service.submissions}) == 201


async def test_a_crash_between_commit_and_delivery_loses_nothing_and_events_count_once(
    queue: Any, tmp_path: Path, make_api: Any
) -> None:
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint) as process:
        first = make_api(process)
        member = first.stubs("member")
        task, entry = await member.queued()
        await arrived(first, entry)
        queue.service.tell(entry, ON_AGENT, types.ATTEMPT_PHASE_RUNNING, 1)
        await member.until_state(task.id, RUNNING)
        await queue.stop()
        waiting, late = await member.queued()
        before = await member.get(task.id)
    queue.service.tell(entry, DONE, types.ATTEMPT_PHASE_SUCCEEDED, 1)  # while the API is down
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint) as process:
        again = make_api(process)
        member = again.stubs("member")
        assert (await member.get(waiting.id)).status.state == QUEUED
        assert await member.get(task.id) == before
        await queue.start()
        await arrived(again, late)
        ended = await member.until_state(task.id, COMPLETED)
        assert int(ended.etag) == int(before.etag) + 1


async def test_a_replaced_event_log_is_read_from_its_beginning_and_ends_stay(api: Any, member: Any) -> None:
    task, entry = await on_agent(api, member)
    api.queue.service.tell(entry, DONE, types.ATTEMPT_PHASE_SUCCEEDED, 1)
    ended = await member.until_state(task.id, COMPLETED)
    api.queue.service.new_log()
    api.queue.service.tell(entry, ON_AGENT, types.ATTEMPT_PHASE_RUNNING, 1)
    other, second = await member.queued()
    await arrived(api, second)
    api.queue.service.tell(second, ON_AGENT, types.ATTEMPT_PHASE_RUNNING, 1)
    await member.until_state(other.id, RUNNING)
    assert (await member.get(task.id)).status == ended.status


async def test_calls_for_the_queue_service_are_passed_on(api: Any, member: Any) -> None:
    found = await member.queues.ListQueues(queues.ListQueuesRequest())
    assert [queue.display_name for queue in found.queues] == ["default"]
    with pytest.raises(QueueNotFound, match="there are: default"):
        await member.queues.GetQueue(queues.GetQueueRequest(display_name="gpu"))
    await api.queue.stop()
    with pytest.raises(UpstreamUnavailable):
        await member.queues.ListQueues(queues.ListQueuesRequest(), timeout=10)
