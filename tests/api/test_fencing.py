"""Whoever speaks for an attempt that no longer counts is refused, and it is written down without filling the disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from batuta_api.__main__ import build
from batuta_chassis.testing import running
from batuta_proto.metrics import v1 as metrics
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_rpc.errors import OtherTask, RoleMissing, StaleAttempt

WAITING, ON_AGENT, DONE = queues.ENTRY_STATE_WAITING, queues.ENTRY_STATE_RUNNING, queues.ENTRY_STATE_DONE
LOST, SUCCEEDED, RUNS = types.ATTEMPT_PHASE_LOST, types.ATTEMPT_PHASE_SUCCEEDED, types.ATTEMPT_PHASE_RUNNING


async def write_log(stubs: Any, task_id: str, attempt: int) -> None:
    """A chunk of log."""
    await stubs.write_log(task_id, attempt, b"zombie")


async def write_scalars(stubs: Any, task_id: str, attempt: int) -> None:
    """A batch of scalars."""
    column = metrics.ScalarColumn(metric="m", variant="v", iterations=[1], time_unix_millis=[1], values=[1.0])
    await stubs.metrics.AppendScalars(
        metrics.AppendScalarsRequest(
            task_id=task_id, attempt=attempt, producer="p", first_sequence=1, last_sequence=1, columns=[column]
        )
    )


async def upload(stubs: Any, task_id: str, attempt: int) -> None:
    """An artifact."""
    await stubs.upload(b"zombie", task_id=task_id, attempt=attempt)


async def read_task(stubs: Any, task_id: str, attempt: int) -> None:
    """The task itself."""
    await stubs.get(task_id)


async def change_task(stubs: Any, task_id: str, attempt: int) -> None:
    """A parameter."""
    task = tasks.Task(id=task_id, display_name="mine")
    await stubs.tasks.UpdateTask(
        tasks.UpdateTaskRequest(task=task, update_mask=FieldMask(paths=["display_name"]), attempt=attempt)
    )


CALLS: dict[str, Callable[[Any, str, int], Awaitable[None]]] = {
    "ArtifactService/UploadArtifact": upload,
    "LogService/AppendLog": write_log,
    "MetricService/AppendScalars": write_scalars,
    "TaskService/GetTask": read_task,
    "TaskService/UpdateTask": change_task,
}


async def lost_run(api: Any, member: Any) -> str:
    """A task whose first attempt was lost and whose second runs."""
    task, entry = await member.queued()
    service = api.queue.service
    await api.eventually(lambda: entry in service.entries)
    service.tell(entry, ON_AGENT, RUNS, 1)
    tail = types.ProducerTail(producer="console", kind=types.TAIL_KIND_LOG, end=100)
    service.tell(entry, WAITING, LOST, 1, tails=[tail])
    service.tell(entry, ON_AGENT, RUNS, 2)
    await member.until(task.id, lambda seen: seen.status.attempt == 2)
    return str(task.id)


@pytest.mark.parametrize("name", CALLS)
async def test_the_run_of_a_lost_attempt_is_refused_and_written_down(api: Any, member: Any, name: str) -> None:
    task_id = await lost_run(api, member)
    before = await member.get(task_id)
    zombie = api.run_of(task_id, 1)
    with pytest.raises(StaleAttempt):
        await CALLS[name](zombie, task_id, 1)
    refused = (await api.audit(task_id))[0]
    assert (refused.subject, refused.method.removeprefix("batuta.").partition(".v1.")[2]) == (
        f"attempt:{task_id}/1",
        name,
    )
    assert (refused.task_id, refused.attempt, refused.reason, refused.count) == (task_id, 1, "STALE_ATTEMPT", 1)
    assert (await member.get(task_id)).spec == before.spec


@pytest.mark.parametrize("name", CALLS)
async def test_a_run_is_kept_from_another_task_and_it_is_written_down(api: Any, member: Any, name: str) -> None:
    task_id = await lost_run(api, member)
    other = (await member.started()).id
    run = api.run_of(task_id, 2)
    with pytest.raises(OtherTask):
        await CALLS[name](run, other, 1)
    refused = (await api.audit(other))[0]
    assert (refused.subject, refused.reason) == (f"attempt:{task_id}/2", "OTHER_TASK")


async def test_the_late_end_of_a_stale_local_run_is_refused_and_written_down(api: Any, member: Any) -> None:
    task = await member.started()
    await member.tasks.ResetTask(tasks.ResetTaskRequest(task_id=task.id, local_attempt=1))
    await member.tasks.StartTask(tasks.StartTaskRequest(task_id=task.id))
    late = tasks.FinishTaskRequest(task_id=task.id, attempt=1, state=tasks.TASK_STATE_FAILED)
    with pytest.raises(StaleAttempt):
        await member.tasks.FinishTask(late)
    with pytest.raises(RoleMissing):  # the run of an attempt may not even ask: its agent reports its end
        await api.run_of(task.id, 1).tasks.FinishTask(late)
    refused = (await api.audit(task.id))[0]
    assert (refused.subject, refused.attempt) == ("ada", 1)
    assert refused.method == "batuta.tasks.v1.TaskService/FinishTask"
    assert (await member.get(task.id)).status.state == tasks.TASK_STATE_RUNNING


async def test_a_zombie_that_never_gives_up_costs_one_row_with_a_count(
    queue: Any, tmp_path: Path, make_api: Any
) -> None:
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint) as process:
        api = make_api(process)
        task_id = await lost_run(api, api.stubs("member"))
        zombie = api.run_of(task_id, 1)
        for _ in range(40):
            with pytest.raises(StaleAttempt):
                await write_scalars(zombie, task_id, 1)
        assert [row.count for row in await api.audit(task_id)] == [1]
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint) as process:
        [row] = await make_api(process).audit(task_id)
        assert row.count == 40
        assert row.last_time is not None
        assert row.last_time > row.time


async def test_the_tail_of_an_ended_attempt_is_taken_to_its_declared_end_and_not_beyond(api: Any, member: Any) -> None:
    task, entry = await member.queued()
    service = api.queue.service
    await api.eventually(lambda: entry in service.entries)
    service.tell(entry, ON_AGENT, RUNS, 1)
    tail = types.ProducerTail(producer="console", kind=types.TAIL_KIND_LOG, end=8)
    service.tell(entry, DONE, SUCCEEDED, 1, tails=[tail])
    await member.until_state(task.id, tasks.TASK_STATE_COMPLETED)
    run = api.run_of(task.id, 1)
    assert await run.write_log(task.id, 1, b"01234567") == 8
    with pytest.raises(StaleAttempt):
        await run.write_log(task.id, 1, b"8", offset=8)
    with pytest.raises(StaleAttempt):
        await run.write_log(task.id, 1, b"0", producer="undeclared")
    assert [row.reason for row in await api.audit(task.id)] == ["STALE_ATTEMPT"]


async def test_nothing_of_a_lost_attempt_is_taken_whatever_tail_it_declared(api: Any, member: Any) -> None:
    task_id = await lost_run(api, member)
    with pytest.raises(StaleAttempt):
        await api.run_of(task_id, 1).write_log(task_id, 1, b"zombie")
