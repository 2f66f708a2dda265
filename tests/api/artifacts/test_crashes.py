"""A server that is killed while it makes an artifact, and one whose disk is full."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from batuta_api.__main__ import build
from batuta_chassis.settings import Settings
from batuta_chassis.testing import Tokens, running
from batuta_proto.artifacts import v1 as artifacts
from batuta_rpc.auth import StaticToken
from batuta_rpc.channel import open_aio
from batuta_rpc.clock import SystemClock
from batuta_rpc.errors import DiskFull, ProtocolViolation, Unavailable
from batuta_rpc.ids import SystemIds

ROOT = Path(__file__).parents[3]
pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


class Killable:
    """An API service in a process of its own, which dies at a chosen use case."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self, crash: str = "") -> str:
        """Start it; where it listens."""
        self.port = Settings(service="api", data_dir=self.data, port=self.port).with_port().port
        command = [sys.executable, "-m", "tests.chaos.crashing", "api", "--data-dir", str(self.data)]
        command += ["--port", str(self.port), "--log-level", "ERROR"]
        self._process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "CHAOS_CRASH": crash})
        return f"127.0.0.1:{self.port}"

    def wait(self) -> int:
        """Wait for its end; how it ended."""
        assert self._process is not None
        return self._process.wait(100)

    def kill(self) -> None:
        """End it as a machine that loses power does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(100)


@pytest.fixture
def killable(tmp_path: Path) -> Iterator[Killable]:
    made = Killable(tmp_path)
    yield made
    made.kill()


async def connect(killable: Killable, make: Callable[[Any], Any], crash: str = "") -> Any:
    address = killable.start(crash)
    clock = SystemClock()
    token = StaticToken(Tokens(killable.data / "keys", clock, SystemIds()).of("member", subject="ada"))
    channel: grpc.aio.Channel = open_aio(address, token, "test")
    stubs = make(channel)
    end = clock.monotonic() + 100
    while True:
        try:
            await stubs.draft("warm")
            return stubs
        except Unavailable:
            assert clock.monotonic() < end, "it does not start"
            await clock.sleep(0.05)


def blobs(data: Path) -> list[Path]:
    return [path for path in (data / "artifacts" / "blobs").rglob("*") if path.is_file()]


@pytest.mark.parametrize("when", ["before", "before, and its file is lost", "after"])
async def test_killed_between_bytes_and_row_an_artifact_is_whole_or_not_there(
    killable: Killable, on_channel: Callable[[Any], Any], when: str
) -> None:
    member = await connect(killable, on_channel, f"Receiver._commit:1:{when.partition(',')[0]}")
    task, data, upload_id = await member.draft(), os.urandom(1 << 19), SystemIds().new_id()
    with pytest.raises(Unavailable):
        await member.upload(data, task_id=task.id, upload_id=upload_id)
    assert killable.wait() == -signal.SIGKILL
    assert len(blobs(killable.data)) == 1
    if "lost" in when:
        (killable.data / "artifacts" / "uploads" / upload_id).unlink()
    member = await connect(killable, on_channel)
    listed = await member.artifacts.ListArtifacts(artifacts.ListArtifactsRequest(task_id=task.id))
    assert [each.id for each in listed.artifacts] == ([upload_id] if when == "after" else [])
    if when == "before":
        with pytest.raises(ProtocolViolation, match="send `finish`"):
            await member.upload(data + b"more", task_id=task.id, upload_id=upload_id)
    made = await member.upload(data, task_id=task.id, upload_id=upload_id)
    assert (made.id, await member.download(made.id) == data) == (upload_id, True)
    assert len(blobs(killable.data)) == 1


async def test_a_full_disk_refuses_artifacts_by_name_and_the_service_lives_on(
    queue: Any, small_disk: Any, fill_disk: Any, make_stubs: Any
) -> None:
    disk: Path = small_disk(64)
    async with running(build, disk, service="api", queue_endpoint=queue.endpoint) as process:
        member = make_stubs(process)
        task, upload_id = await member.draft(), SystemIds().new_id()
        ballast = fill_disk(disk)
        with pytest.raises(DiskFull, match="once there is room") as refused:
            await member.upload(b"x" * 1000, task_id=task.id, upload_id=upload_id)
        assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await member.get(task.id)).id == task.id
        ballast.unlink()
        made = await member.upload(b"x" * 1000, task_id=task.id, upload_id=upload_id)
        assert await member.download(made.id) == b"x" * 1000
