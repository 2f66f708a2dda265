"""A full disk under the API: uploads are refused by name, what is stored can be read, and it passes by itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from batuta_api.__main__ import build
from batuta_api.testing import RunningQueue
from batuta_chassis.testing import Running, running
from batuta_proto.metrics import v1 as metrics
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.clock import SystemClock
from batuta_rpc.errors import StorageFailed

pytestmark = pytest.mark.chaos

SIZE = 24 << 20
RECOVERS_WITHIN = 10.0


@pytest.fixture
def disk(small_disk: Callable[[int], Path]) -> Path:
    """A file system of its own, so that it can be filled."""
    return small_disk(SIZE >> 20)


@pytest.fixture
async def on_small_disk(queue: RunningQueue, disk: Path) -> AsyncIterator[Running]:
    """The API, with all it keeps on the small disk."""
    async with running(build, disk, service="api", queue_endpoint=queue.endpoint) as process:
        yield process


@pytest.fixture
def roomy_disk(small_disk: Callable[[int], Path]) -> Path:
    """Another one, on which there is room for a reserve."""
    return small_disk(64)


async def _moved(member: Any) -> None:
    """A task from its draft to its end, with signs of life between."""
    task = await member.started()
    sign = metrics.AppendScalarsRequest(task_id=task.id, attempt=1, producer="p", first_sequence=1, last_sequence=1)
    assert (await member.metrics.AppendScalars(sign)).committed_sequence == 0
    assert await member.write_log(task.id, 1, b"") == 0
    finish = tasks.FinishTaskRequest(task_id=task.id, attempt=1, state=tasks.TASK_STATE_COMPLETED)
    assert (await member.tasks.FinishTask(finish)).task.status.state == tasks.TASK_STATE_COMPLETED


async def test_states_and_signs_of_life_go_on_where_a_full_disk_refuses_uploads(
    queue: RunningQueue, roomy_disk: Path, fill_disk: Callable[[Path], Path], make_stubs: Any
) -> None:
    clock = SystemClock()
    async with running(build, roomy_disk, service="api", queue_endpoint=queue.endpoint) as process:
        member = make_stubs(process)
        loud = await member.started()
        stored = 0
        for _ in range(2):
            ballast = fill_disk(roomy_disk)
            for _ in range(60):
                await _moved(member)
            for _ in range(3):
                with pytest.raises(StorageFailed):
                    await _upload(member, loud.id, os.urandom(1 << 20), stored)
                await _moved(member)
            ballast.unlink()
            freed = clock.monotonic()
            while True:
                stored = await member.write_log(loud.id, 1, b"")
                try:
                    stored = await member.write_log(loud.id, 1, b"more\n", stored)
                    break
                except StorageFailed:
                    assert clock.monotonic() - freed < RECOVERS_WITHIN, "it did not recover"
                    await asyncio.sleep(0.1)
            await _moved(member)


async def _upload(member: Any, task_id: str, block: bytes, offset: int) -> None:
    for number in range(SIZE // len(block)):
        await member.write_log(task_id, 1, block, offset=offset + number * len(block))


async def test_a_full_disk_refuses_uploads_by_name_and_passes_within_seconds_of_room(
    on_small_disk: Running, disk: Path, fill_disk: Callable[[Path], Path], make_stubs: Any
) -> None:
    member = make_stubs(on_small_disk)
    task = await member.started()
    assert await member.write_log(task.id, 1, b"before\n") == 7
    ballast = fill_disk(disk)
    block = os.urandom(1 << 20)  # more than what its files have in reserve
    with pytest.raises(StorageFailed):
        await _upload(member, task.id, block, 7)
    assert (await member.get(task.id)).status.state == tasks.TASK_STATE_RUNNING  # what is stored can be read
    ballast.unlink()
    clock = SystemClock()
    freed = clock.monotonic()
    finish = tasks.FinishTaskRequest(task_id=task.id, attempt=1, state=tasks.TASK_STATE_COMPLETED)
    while True:
        try:
            await member.tasks.FinishTask(finish)
            break
        except StorageFailed:
            assert clock.monotonic() - freed < RECOVERS_WITHIN, "it did not recover"
            await asyncio.sleep(0.1)
    assert (await member.get(task.id)).status.state == tasks.TASK_STATE_COMPLETED
    other = await member.started()
    assert await member.write_log(other.id, 1, b"after\n") == 6
