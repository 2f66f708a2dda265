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


def fill(folder: Path) -> Path:
    """Leave no byte free."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    os.write(file.fileno(), b"x" * size)
            except OSError:
                continue
    return ballast


async def _upload(member: Any, task_id: str, block: bytes) -> None:
    for number in range(SIZE // len(block)):
        await member.write_log(task_id, 1, block, offset=7 + number * len(block))


async def test_a_full_disk_refuses_uploads_by_name_and_passes_within_seconds_of_room(
    on_small_disk: Running, disk: Path, make_stubs: Any
) -> None:
    member = make_stubs(on_small_disk)
    task = await member.started()
    assert await member.write_log(task.id, 1, b"before\n") == 7
    ballast = fill(disk)
    block = os.urandom(1 << 20)  # more than what its files have in reserve
    with pytest.raises(StorageFailed):
        await _upload(member, task.id, block)
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
