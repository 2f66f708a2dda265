"""The history of a task's attempts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta_api.__main__ import build
from batuta_api.tasks import attempts
from batuta_api.tasks.attempts import Attempt
from batuta_api.tasks.events import EntryEvent
from batuta_api.tasks.model import EntryState, Phase
from batuta_api.tasks.testing import NOON
from batuta_chassis.testing import running
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_rpc.errors import FieldViolation, OtherTask, TaskNotFound

WAITING, OFFERED, ON_AGENT = queues.ENTRY_STATE_WAITING, queues.ENTRY_STATE_OFFERED, queues.ENTRY_STATE_RUNNING
DONE = queues.ENTRY_STATE_DONE
LOST, REJECTED = types.ATTEMPT_PHASE_LOST, types.ATTEMPT_PHASE_REJECTED


def said(phase: Phase, seconds: int = 0, **fields: Any) -> EntryEvent:
    """An event about attempt 1."""
    when = NOON + timedelta(seconds=seconds)
    return EntryEvent("e1", "t1", EntryState.RUNNING, attempt=1, phase=phase, event_time=when, **fields)


def test_an_attempt_is_told_from_offer_to_end() -> None:
    attempt: Attempt | None = None
    for event in (
        said(Phase.OFFERED, 0, agent_id="a1", host="h1"),
        said(Phase.ACCEPTED, 1),
        said(Phase.RUNNING, 2),
        said(Phase.FAILED, 3, exit_code=3),
    ):
        attempt = attempts.heard(attempt, event, NOON)
    assert attempt == Attempt(
        1, Phase.FAILED, agent_id="a1", host="h1", reason="EXIT_CODE", message="exit code 3", exit_code=3,
        offer_time=NOON, start_time=NOON + timedelta(seconds=2), end_time=NOON + timedelta(seconds=3),
    )  # fmt: skip


PHASES = st.lists(st.sampled_from([phase for phase in Phase if phase]), min_size=1, max_size=8)


@given(PHASES)
def test_whatever_is_said_again_or_after_the_end_changes_nothing(phases: list[Phase]) -> None:
    attempt: Attempt | None = None
    for second, phase in enumerate(phases):
        before = attempt
        attempt = attempts.heard(attempt, said(phase, second), NOON)
        assert attempts.heard(attempt, said(phase, second + 50), NOON) is attempt
        if before is not None:
            assert attempt.phase >= before.phase
            assert attempt is before or not before.phase.ended


async def history(stubs: Any, task_id: str, **page: Any) -> list[tasks.Attempt]:
    """A task's attempts."""
    return list((await stubs.tasks.ListAttempts(tasks.ListAttemptsRequest(task_id=task_id, **page))).attempts)


async def told(api: Any, member: Any, steps: Sequence[tuple[int, int, int, dict[str, Any]]]) -> tuple[str, str]:
    """A queued task, and events about it that have been applied."""
    task, entry = await member.queued()
    service = api.queue.service
    await api.eventually(lambda: entry in service.entries)
    for state, phase, attempt, fields in steps:
        service.tell(entry, state, phase, attempt, **fields)
    last = steps[-1]
    await member.until(task.id, lambda each: (each.status.attempt, each.status.phase) == (last[2], last[1]))
    return task.id, entry


async def test_each_attempt_of_a_queued_task_is_listed_with_the_reason_of_its_end(api: Any, member: Any) -> None:
    a1, a2 = {"agent_id": "a1", "host": "h1"}, {"agent_id": "a2", "host": "h2"}
    task_id, _ = await told(
        api,
        member,
        [
            (OFFERED, types.ATTEMPT_PHASE_OFFERED, 1, a1),
            (WAITING, types.ATTEMPT_PHASE_REJECTED, 1, a1),
            (ON_AGENT, types.ATTEMPT_PHASE_RUNNING, 2, a1),
            (WAITING, types.ATTEMPT_PHASE_LOST, 2, a1),
            (ON_AGENT, types.ATTEMPT_PHASE_RUNNING, 3, a2),
            (WAITING, types.ATTEMPT_PHASE_FAILED, 3, {**a2, "exit_code": 7}),
            (ON_AGENT, types.ATTEMPT_PHASE_RUNNING, 4, a2),
            (DONE, types.ATTEMPT_PHASE_SUCCEEDED, 4, {**a2, "exit_code": 0}),
        ],
    )
    listed = await history(member, task_id)
    assert [(each.attempt, each.phase, each.agent_id, each.reason) for each in listed] == [
        (4, types.ATTEMPT_PHASE_SUCCEEDED, "a2", ""),
        (3, types.ATTEMPT_PHASE_FAILED, "a2", "EXIT_CODE"),
        (2, types.ATTEMPT_PHASE_LOST, "a1", "AGENT_LOST"),
        (1, types.ATTEMPT_PHASE_REJECTED, "a1", "REJECTED"),
    ]
    assert all(each.HasField("end_time") and not each.local for each in listed)
    assert [each.exit_code for each in listed if each.HasField("exit_code")] == [0, 7]


async def test_a_failure_that_is_tried_again_says_so_while_the_task_waits(api: Any, member: Any) -> None:
    failed = (WAITING, types.ATTEMPT_PHASE_FAILED, 1, {"exit_code": 7})
    task_id, _ = await told(api, member, [(ON_AGENT, types.ATTEMPT_PHASE_RUNNING, 1, {}), failed])
    status = (await member.get(task_id)).status
    assert (status.state, status.reason) == (tasks.TASK_STATE_QUEUED, "EXIT_CODE")
    assert status.message == "attempt 1 failed, and it is tried again: exit code 7"


async def test_doubled_and_late_events_leave_one_history(api: Any, member: Any) -> None:
    steps: list[tuple[int, int, int, dict[str, Any]]] = [
        (OFFERED, types.ATTEMPT_PHASE_OFFERED, 1, {}),
        (ON_AGENT, types.ATTEMPT_PHASE_RUNNING, 1, {}),
        (WAITING, types.ATTEMPT_PHASE_LOST, 1, {}),
        (ON_AGENT, types.ATTEMPT_PHASE_RUNNING, 2, {}),
        (DONE, types.ATTEMPT_PHASE_FAILED, 2, {"exit_code": 1}),
    ]
    task_id, entry = await told(api, member, steps)
    before = await history(member, task_id)
    again = steps * 3
    random.Random(7).shuffle(again)
    for state, phase, attempt, fields in again:
        api.queue.service.tell(entry, state, phase, attempt, **fields)
    api.queue.service.tell(entry, DONE, types.ATTEMPT_PHASE_LOST, 3)
    await member.until(task_id, lambda task: task.status.attempt == 3)  # of it only the number counts
    assert (await history(member, task_id))[1:] == before
    assert (await member.get(task_id)).status.exit_code == 1


async def test_a_history_that_grows_too_long_loses_what_was_given_back_first(
    queue: Any, tmp_path: Path, make_api: Any
) -> None:
    limits = {"attempts_per_task": "3"}
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint, limits=limits) as process:
        api = make_api(process)
        member = api.stubs("member")
        ends = enumerate([LOST, REJECTED, LOST, REJECTED, LOST], 1)
        task_id, _ = await told(api, member, [(WAITING, phase, number, {}) for number, phase in ends])
        assert [each.attempt for each in await history(member, task_id)] == [5, 3, 1]


async def test_an_attempt_whose_end_was_never_heard_is_closed_by_the_next(api: Any, member: Any) -> None:
    task_id, _ = await told(
        api,
        member,
        [(ON_AGENT, types.ATTEMPT_PHASE_RUNNING, 1, {}), (ON_AGENT, types.ATTEMPT_PHASE_RUNNING, 2, {})],
    )
    newest, older = await history(member, task_id)
    assert newest.phase == types.ATTEMPT_PHASE_RUNNING
    assert (older.phase, older.reason) == (types.ATTEMPT_PHASE_LOST, "END_UNHEARD")


async def test_local_runs_are_among_the_attempts(api: Any, member: Any) -> None:
    task = await member.started()
    await member.tasks.ResetTask(tasks.ResetTaskRequest(task_id=task.id, local_attempt=1))
    await member.tasks.StartTask(tasks.StartTaskRequest(task_id=task.id, host="laptop"))
    finish = tasks.FinishTaskRequest(task_id=task.id, attempt=2, state=tasks.TASK_STATE_FAILED, exit_code=3)
    await member.tasks.FinishTask(finish)
    await member.tasks.FinishTask(finish)
    await member.tasks.ResetTask(tasks.ResetTaskRequest(task_id=task.id))
    await member.tasks.StartTask(tasks.StartTaskRequest(task_id=task.id, host="laptop"))
    queue = tasks.EnqueueTaskRequest(task_id=task.id, queue_name="default", local_attempt=3)
    await member.tasks.EnqueueTask(queue)
    listed = await history(member, task.id)
    assert [(each.attempt, each.local, each.host, each.reason) for each in listed] == [
        (3, True, "laptop", "ENQUEUED"),
        (2, True, "laptop", ""),
        (1, True, "laptop", "RESET"),
    ]
    assert listed[0].message == "it put its task into queue default"
    assert (listed[1].phase, listed[1].exit_code) == (types.ATTEMPT_PHASE_FAILED, 3)


async def test_attempts_come_in_pages_and_a_token_fits_its_task_only(api: Any, member: Any) -> None:
    lost = [(WAITING, types.ATTEMPT_PHASE_LOST, number, {}) for number in range(1, 6)]
    task_id, _ = await told(api, member, lost)
    request = tasks.ListAttemptsRequest(task_id=task_id, page_size=2)
    numbers = []
    while True:
        answer = await member.tasks.ListAttempts(request)
        numbers.append([each.attempt for each in answer.attempts])
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert numbers == [[5, 4], [3, 2], [1]]
    other, _ = await member.queued()
    with pytest.raises(FieldViolation, match="page_token"):
        await member.tasks.ListAttempts(tasks.ListAttemptsRequest(task_id=other.id, page_token=request.page_token))


async def test_a_run_reads_its_own_tasks_attempts_and_no_others(api: Any, member: Any) -> None:
    task_id, _ = await told(api, member, [(ON_AGENT, types.ATTEMPT_PHASE_RUNNING, 1, {})])
    other, _ = await member.queued()
    run = api.run_of(task_id, 1)
    assert [each.attempt for each in await history(run, task_id)] == [1]
    with pytest.raises(OtherTask):
        await history(run, other.id)
    with pytest.raises(TaskNotFound):
        await history(member, "nothing")
