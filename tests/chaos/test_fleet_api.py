"""Several API processes before several brokers: one of each is killed, and every task that was enqueued is run once."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import grpc.aio
import pytest

from batuta_proto.tasks import v1 as tasks
from batuta_rpc.errors import DeadlineExceeded, Unavailable, UpstreamUnavailable
from batuta_rpc.ids import SystemIds

from .deployment import CLOCK, DONE_WITHIN, Deployment, wait_for, wait_for_async

pytestmark = [pytest.mark.chaos, pytest.mark.nightly, pytest.mark.timeout(240)]
IDS = SystemIds()
TASKS = 40


async def _insist(stubs: list[Any], method: str, request: Any) -> Any:
    """The same request to one process after the other until one has answered."""
    turn = 0
    while True:
        try:
            return await getattr(stubs[turn % len(stubs)], method)(request, timeout=3)
        except (Unavailable, DeadlineExceeded, UpstreamUnavailable):
            turn += 1
            await CLOCK.sleep(0.1)


async def _enqueue(stubs: list[Any], name: str) -> str:
    made = await _insist(
        stubs,
        "CreateTask",
        tasks.CreateTaskRequest(project_name="fleet", display_name=name, request_id=IDS.request_id()),
    )
    request = tasks.EnqueueTaskRequest(task_id=made.task.id, queue_name="default", request_id=IDS.request_id())
    await _insist(stubs, "EnqueueTask", request)
    return str(made.task.id)


@pytest.mark.parametrize("frozen", [False, True], ids=["killed", "frozen"])
async def test_what_an_api_process_took_before_it_was_gone_is_done(deployment: Deployment, frozen: bool) -> None:
    for _ in range(2):
        await deployment.start_broker()
    # The first one follows the queue's events, and is the one that goes.
    for _ in range(2):
        await deployment.start_api()
    await deployment.start_workers(4)
    channels: list[grpc.aio.Channel] = [deployment.channel(each.address, "member") for each in deployment.apis]
    stubs = [tasks.TaskServiceStub(each) for each in channels]
    made: list[str] = []

    async def enqueue() -> None:
        for number in range(TASKS):
            order = stubs if number % 2 else stubs[::-1]
            made.append(await _enqueue(order, f"task {number}"))

    working = asyncio.create_task(enqueue())
    await wait_for(lambda: len(made) >= TASKS // 4, 60)
    deployment.apis[0].kill(signal.SIGSTOP if frozen else signal.SIGKILL)
    await wait_for(lambda: len(made) >= TASKS // 2, 60)
    deployment.brokers[0].kill(signal.SIGKILL)
    await working

    async def completed() -> bool:
        for task_id in made:
            found = await _insist(stubs[1:], "GetTask", tasks.GetTaskRequest(task_id=task_id))
            if found.task.status.state != tasks.TASK_STATE_COMPLETED:
                return False
        return True

    await wait_for_async(completed, DONE_WITHIN)
    if frozen:
        deployment.apis[0].kill(signal.SIGCONT)
        made.append(await _enqueue(stubs[:1], "after"))
        await wait_for_async(completed, DONE_WITHIN)
    assert {task_id: deployment.ran[task_id] for task_id in made} == dict.fromkeys(made, 1)
