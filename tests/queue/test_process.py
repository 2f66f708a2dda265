"""The queue service as a real process that is killed with no warning."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from batuta_chassis.testing import Tokens
from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types
from batuta_queue.testing_agent import FakeAgent, submit_request
from batuta_rpc.auth import StaticToken
from batuta_rpc.channel import open_aio
from batuta_rpc.clock import SystemClock, within
from batuta_rpc.ids import SystemIds


@asynccontextmanager
async def process(folder: Path) -> AsyncGenerator[tuple[asyncio.subprocess.Process, str]]:
    """A queue service on `folder`; killed at the end if it still runs."""
    environ = {**os.environ, "BATUTA_QUEUE_DATA_DIR": str(folder), "BATUTA_QUEUE_LOG_LEVEL": "WARNING"}
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "batuta_queue", env=environ, stdout=asyncio.subprocess.PIPE
    )
    assert started.stdout is not None
    try:
        line = await within(SystemClock(), 30, started.stdout.readline())
        yield started, line.decode().split()[-1]
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


@asynccontextmanager
async def dial(address: str, tokens: Tokens) -> AsyncGenerator[tuple[Any, grpc.aio.Channel]]:
    """A caller's stub and an agent's channel."""
    caller = open_aio(address, StaticToken(tokens.of("service")), "test")
    agent = open_aio(address, StaticToken(tokens.of("agent")), "test")
    try:
        yield queues.QueueServiceStub(caller), agent
    finally:
        await caller.close()
        await agent.close()


@pytest.mark.e2e
async def test_a_broker_killed_in_the_middle_loses_and_doubles_nothing(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "keys", SystemClock(), SystemIds())
    async with process(tmp_path) as (first, address), dial(address, tokens) as (stub, channel):
        queue = (await stub.GetQueue(queues.GetQueueRequest(display_name="default"))).queue.id
        agent = FakeAgent(channel, [queue], max_assignments=2)
        await agent.connect()
        for number in range(4):
            await stub.SubmitEntry(submit_request(f"e{number}", queue))
        running = await agent.next("assignment")
        await agent.accept(running)
        offered = await agent.next("assignment")
        first.send_signal(signal.SIGKILL)
        assert await agent.end() is not None
    async with process(tmp_path) as (second, address), dial(address, tokens) as (stub, channel):
        again = FakeAgent(channel, [queue], max_assignments=2)
        again.held = dict(agent.held)
        # What was acknowledged is still there: submitting it again changes nothing.
        for number in range(4):
            await stub.SubmitEntry(submit_request(f"e{number}", queue))
        welcome = await again.connect(resume_session_id=agent.session_id)
        assert [each.ref for each in welcome.expected] == [running.ref]
        await again.report(running.ref, types.ATTEMPT_PHASE_SUCCEEDED)
        ended: list[tuple[str, int]] = []
        for _ in range(3):
            got = await again.next("assignment")
            await again.accept(got)
            await again.report(got.ref, types.ATTEMPT_PHASE_SUCCEEDED)
            ended.append((got.ref.task_id, got.ref.attempt))
        assert ended == [(offered.ref.task_id, 2), ("task-of-e2", 1), ("task-of-e3", 1)]
        second.send_signal(signal.SIGTERM)
        assert await within(SystemClock(), 20, second.wait()) == 0
