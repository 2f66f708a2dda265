"""Two API processes on one PostgreSQL with one place for artifacts."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from batuta_api.__main__ import build
from batuta_chassis.testing import running
from batuta_proto.artifacts import v1 as artifacts
from batuta_rpc.ids import SystemIds


@pytest.fixture
async def members(
    queue: Any, new_database: Callable[[], str], tmp_path: Path, make_stubs: Any
) -> AsyncIterator[list[Any]]:
    """A member's stubs at each process."""
    shared: dict[str, Any] = {
        "queue_endpoint": queue.endpoint,
        "database_url": new_database(),
        "keys_dir": tmp_path / "keys",
        "artifacts_uri": f"file://{tmp_path / 'shared'}",
    }
    async with AsyncExitStack() as stack:
        made: list[Any] = []
        for name in ("a", "b"):
            process = await stack.enter_async_context(running(build, tmp_path / name, service="api", **shared))
            made.append(make_stubs(process))
        yield made


def begun(upload_id: str, task_id: str) -> artifacts.UploadArtifactRequest:
    return artifacts.UploadArtifactRequest(
        begin=artifacts.UploadBegin(upload_id=upload_id, task_id=task_id, name="model")
    )


async def test_an_upload_that_goes_on_at_another_process_begins_at_0_and_is_one_artifact(
    members: list[Any], tmp_path: Path
) -> None:
    task, data, upload_id = await members[0].draft(), os.urandom(100_000), SystemIds().new_id()
    call = members[0].artifacts.UploadArtifact()
    await call.write(begun(upload_id, task.id))
    assert (await call.read()).committed_offset == 0
    await call.write(artifacts.UploadArtifactRequest(chunk=artifacts.UploadChunk(data=data[:50_000])))
    call.cancel()
    answers = await members[1].talk(begun(upload_id, task.id), *_rest(data))
    assert [answer.committed_offset for answer in answers] == [0, 100_000]
    again = await members[0].upload(data, task_id=task.id, upload_id=upload_id)
    assert again == answers[-1].artifact
    for member in members:
        assert await member.download(upload_id) == data
    assert len([path for path in (tmp_path / "shared").rglob("*") if path.is_file()]) == 1


async def test_one_upload_sent_to_both_at_once_is_one_artifact(members: list[Any], tmp_path: Path) -> None:
    task, data = await members[0].draft(), os.urandom(100_000)
    ids = [SystemIds().new_id() for _ in range(5)]
    for upload_id in ids:
        made = await asyncio.gather(*(member.upload(data, task_id=task.id, upload_id=upload_id) for member in members))
        assert made[0] == made[1]
        assert await members[0].download(upload_id) == data
    listed = await members[1].artifacts.ListArtifacts(artifacts.ListArtifactsRequest(task_id=task.id))
    assert [each.id for each in listed.artifacts] == ids[-1:]


def _rest(data: bytes) -> list[artifacts.UploadArtifactRequest]:
    ended = artifacts.UploadFinish(size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    return [
        artifacts.UploadArtifactRequest(chunk=artifacts.UploadChunk(data=data)),
        artifacts.UploadArtifactRequest(finish=ended),
    ]
