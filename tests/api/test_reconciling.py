"""A queue service whose log begins anew, or that came back from an older copy: nothing is lost, nothing runs twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batuta_api.__main__ import build
from batuta_api.tasks.events import EntryEvent
from batuta_api.tasks.model import EntryState, Phase, TaskState, TaskStatus
from batuta_api.tasks.reconciling import Verdict, verdict
from batuta_chassis.testing import running
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_rpc.errors import StaleAttempt

WAITING, ON_AGENT, DONE = queues.ENTRY_STATE_WAITING, queues.ENTRY_STATE_RUNNING, queues.ENTRY_STATE_DONE
ACCEPTED, RUNS = types.ATTEMPT_PHASE_ACCEPTED, types.ATTEMPT_PHASE_RUNNING
SUCCEEDED, LOST = types.ATTEMPT_PHASE_SUCCEEDED, types.ATTEMPT_PHASE_LOST
QUEUED, RUNNING, STOPPING = TaskState.QUEUED, TaskState.RUNNING, TaskState.STOPPING


def told(state: EntryState, attempt: int = 0, phase: Phase = Phase.NONE) -> EntryEvent:
    """The newest event of an entry."""
    return EntryEvent("e1", "t1", state, attempt, phase)


@pytest.mark.parametrize(
    ("state", "attempt", "phase", "event", "expected"),
    [
        (QUEUED, 2, Phase.NONE, told(EntryState.WAITING), Verdict.APPLY),
        (QUEUED, 2, Phase.NONE, None, Verdict.AGAIN),
        (RUNNING, 2, Phase.RUNNING, None, Verdict.AGAIN),
        (STOPPING, 2, Phase.RUNNING, None, Verdict.END),
        (RUNNING, 2, Phase.RUNNING, told(EntryState.RUNNING, 2, Phase.ACCEPTED), Verdict.APPLY),
        (RUNNING, 2, Phase.RUNNING, told(EntryState.DONE, 2, Phase.SUCCEEDED), Verdict.APPLY),
        (RUNNING, 2, Phase.RUNNING, told(EntryState.RUNNING, 3, Phase.RUNNING), Verdict.APPLY),
        (RUNNING, 2, Phase.RUNNING, told(EntryState.RUNNING, 1, Phase.RUNNING), Verdict.REPLACE),
        (RUNNING, 2, Phase.RUNNING, told(EntryState.WAITING), Verdict.REPLACE),
        (QUEUED, 2, Phase.LOST, told(EntryState.DONE, 1, Phase.FAILED), Verdict.REPLACE),
        (STOPPING, 2, Phase.RUNNING, told(EntryState.RUNNING, 1, Phase.RUNNING), Verdict.END),
        (RUNNING, 2, Phase.RUNNING, told(EntryState.WITHDRAWN), Verdict.APPLY),
    ],
)
def test_what_the_api_knows_of_attempts_stands_above_an_older_copy(
    state: TaskState, attempt: int, phase: Phase, event: EntryEvent | None, expected: Verdict
) -> None:
    assert verdict(TaskStatus(state, attempt=attempt, phase=phase, entry_id="e1"), event) is expected


async def on_agent(api: Any, member: Any, attempt: int = 1, **fields: Any) -> tuple[str, str]:
    """A task that runs on an agent, and its entry."""
    service = api.queue.service
    task, entry = await member.queued(**fields)
    await api.eventually(lambda: entry in service.entries)
    service.tell(entry, ON_AGENT, RUNS, attempt, agent_id="a1", host="h1")
    await member.until_state(task.id, tasks.TASK_STATE_RUNNING)
    return task.id, entry


def submissions(api: Any, task_id: str) -> list[queues.SubmitEntryRequest]:
    """What the queue service was given of a task."""
    return [each for each in api.queue.service.submissions if each.envelope.task_id == task_id]


async def test_an_end_that_was_missed_is_asked_for_when_the_log_begins_anew(api: Any, member: Any) -> None:
    task_id, entry = await on_agent(api, member)
    service = api.queue.service
    await api.queue.stop()
    service.tell(entry, DONE, SUCCEEDED, 1, exit_code=0)
    service.epoch = "compacted"
    await api.queue.start()
    ended = await member.until_state(task_id, tasks.TASK_STATE_COMPLETED)
    assert ended.status.exit_code == 0
    assert "BatchGetEntries" in service.calls


async def test_a_run_that_the_restored_queue_has_forgotten_is_queued_again_above_its_attempt(
    api: Any, member: Any
) -> None:
    task_id, entry = await on_agent(api, member, attempt=4)
    run = api.run_of(task_id, 4)
    await run.write_log(task_id, 4, b"before\n")
    api.queue.service.restore({}, [])
    await api.eventually(lambda: len(submissions(api, task_id)) == 2)
    again = submissions(api, task_id)[1]
    assert (again.entry_id, again.envelope.attempt_floor) == (entry, 4)
    status = (await member.get(task_id)).status
    assert (status.state, status.reason, status.attempt_open) == (tasks.TASK_STATE_QUEUED, "QUEUE_RESTORED", False)
    with pytest.raises(StaleAttempt):
        await run.write_log(task_id, 4, b"after\n", offset=7)
    api.queue.service.tell(entry, ON_AGENT, RUNS, 5)
    api.queue.service.tell(entry, DONE, SUCCEEDED, 5)
    await member.until_state(task_id, tasks.TASK_STATE_COMPLETED)
    listed = (await member.tasks.ListAttempts(tasks.ListAttemptsRequest(task_id=task_id))).attempts
    assert [(each.attempt, each.phase, each.reason) for each in listed] == [
        (5, SUCCEEDED, ""),
        (4, LOST, "QUEUE_RESTORED"),
    ]


async def test_a_forgotten_task_that_only_waited_goes_on_waiting_with_its_priority(api: Any, member: Any) -> None:
    draft = await member.draft()
    request = tasks.EnqueueTaskRequest(task_id=draft.id, queue_name="default", priority=7)
    before = (await member.tasks.EnqueueTask(request)).task
    await api.eventually(lambda: len(submissions(api, draft.id)) == 1)
    api.queue.service.restore({}, [])  # at once: the message that has arrived counts as on its way for a moment
    await api.eventually(lambda: len(submissions(api, draft.id)) == 2)
    first, again = submissions(api, draft.id)
    first.ClearField("traceparent")  # nobody's call caused the second one
    assert again == first
    assert submissions(api, draft.id)[-1].envelope.priority == 7
    assert await member.get(draft.id) == before


async def test_a_restored_queue_that_would_give_out_old_numbers_gets_a_new_entry_instead(api: Any, member: Any) -> None:
    service = api.queue.service
    task, entry = await member.queued()
    await api.eventually(lambda: entry in service.entries)
    copy = dict(service.entries)
    service.tell(entry, ON_AGENT, RUNS, 1)
    service.tell(entry, WAITING, LOST, 1)
    service.tell(entry, ON_AGENT, RUNS, 2)
    await member.until(task.id, lambda seen: seen.status.attempt == 2)
    service.restore(copy, [])
    await api.eventually(lambda: len(submissions(api, task.id)) == 2)
    fresh = submissions(api, task.id)[1]
    assert fresh.entry_id != entry
    assert fresh.envelope.attempt_floor == 2
    assert entry in service.withdrawals
    service.tell(entry, ON_AGENT, RUNS, 1)  # of the old copy: a number given out twice
    service.tell(fresh.entry_id, ON_AGENT, RUNS, 3)
    await member.until(task.id, lambda seen: seen.status.attempt == 3)
    service.tell(fresh.entry_id, DONE, SUCCEEDED, 3)
    await member.until_state(task.id, tasks.TASK_STATE_COMPLETED)


async def test_an_ended_task_that_the_restored_queue_takes_for_alive_does_not_run_again(api: Any, member: Any) -> None:
    service = api.queue.service
    task_id, entry = await on_agent(api, member)
    copy, log = dict(service.entries), list(service.events)
    service.tell(entry, DONE, SUCCEEDED, 1)
    ended = await member.until_state(task_id, tasks.TASK_STATE_COMPLETED)
    service.restore(copy, log)
    await api.eventually(lambda: entry in service.withdrawals)
    assert (await member.get(task_id)).status == ended.status
    assert len(submissions(api, task_id)) == 1


async def test_what_was_to_stop_and_is_forgotten_has_stopped(api: Any, member: Any) -> None:
    task_id, entry = await on_agent(api, member)
    await member.tasks.AbortTask(tasks.AbortTaskRequest(task_id=task_id, message="enough"))
    await api.eventually(lambda: entry in api.queue.service.withdrawals)
    api.queue.service.restore({}, [])
    assert (await member.until_state(task_id, tasks.TASK_STATE_ABORTED)).status.message == "enough"
    assert len(submissions(api, task_id)) == 1


async def test_a_snapshot_that_is_cut_off_begins_again_and_counts_once(
    queue: Any, tmp_path: Path, make_api: Any
) -> None:
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint) as process:
        first = make_api(process)
        member = first.stubs("member")
        ids = [await on_agent(first, member) for _ in range(3)]
    queue.service.tell(ids[0][1], DONE, SUCCEEDED, 1)
    queue.service.epoch = "another"
    queue.service.cut_snapshots = 3
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint) as process:
        again = make_api(process)
        member = again.stubs("member")
        await member.until_state(ids[0][0], tasks.TASK_STATE_COMPLETED)
        assert queue.service.calls.count("snapshot") >= 4
        for task_id, _ in ids:
            assert len({each.entry_id for each in submissions(again, task_id)}) == 1
            listed = (await member.tasks.ListAttempts(tasks.ListAttemptsRequest(task_id=task_id))).attempts
            assert len(listed) == 1


async def test_many_tasks_are_asked_for_in_pages(api: Any, member: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batuta_api.tasks.reconciling.PAGE", 3)
    ids = [await on_agent(api, member) for _ in range(7)]
    for _, entry in ids:
        api.queue.service.events.append(
            queues.EntryEvent(entry_id=entry, task_id="", entry_state=DONE, attempt=1, phase=SUCCEEDED)
        )
    api.queue.service.epoch = "another"
    await api.queue.stop()
    await api.queue.start()
    for task_id, _ in ids:
        await member.until_state(task_id, tasks.TASK_STATE_COMPLETED)
    assert api.queue.service.calls.count("BatchGetEntries") >= 3
