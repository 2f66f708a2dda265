"""Two API processes and two brokers on one PostgreSQL: any of them takes any call, and one that ends is replaced."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from batuta_api.__main__ import build as build_api
from batuta_chassis.testing import Running, running
from batuta_proto.logs import v1 as logs
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_queue.__main__ import build as build_queue
from batuta_queue.testing_agent import FakeAgent

from .conftest import soon


class Four:
    """The four services, and a member's stubs at each API process."""

    def __init__(self, apis: list[Running], brokers: list[Running], stubs: Any) -> None:
        self.apis = apis
        self.brokers = brokers
        self.members = [stubs(api) for api in apis]

    async def agent(self, broker: int, name: str) -> FakeAgent:
        """A connected agent that serves the default queue."""
        found = await self.members[0].queues.GetQueue(queues.GetQueueRequest(display_name="default"))
        agent = FakeAgent(self.brokers[broker].channel("agent", subject=f"agent:{name}"), [found.queue.id], name)
        await agent.connect()
        await agent.beat()
        return agent


@pytest.fixture
async def four(tmp_path: Path, new_database: Callable[[], str], make_stubs: Any) -> AsyncIterator[Four]:
    """All started, without Redis: what they find, they find by looking."""
    url, keys = new_database(), tmp_path / "keys"
    async with AsyncExitStack() as stack:
        brokers = [
            await stack.enter_async_context(
                running(build_queue, tmp_path / f"q{number}", service="queue", keys_dir=keys, database_url=url)
            )
            for number in range(2)
        ]
        settings: dict[str, Any] = {
            "queue_endpoint": ",".join(each.address for each in brokers),
            "keys_dir": keys,
            "database_url": url,
        }
        apis = [
            await stack.enter_async_context(running(build_api, tmp_path / f"a{number}", service="api", **settings))
            for number in range(2)
        ]
        yield Four(apis, brokers, make_stubs)


async def _run(agent: FakeAgent, task_id: str) -> None:
    assignment = await agent.next("assignment")
    assert assignment.ref.task_id == task_id
    await agent.accept(assignment)
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_SUCCEEDED)


async def test_a_task_enqueued_at_one_is_seen_to_end_at_the_other(four: Four) -> None:
    agent = await four.agent(1, "agent-1")
    for here, there in ((0, 1), (1, 0)):
        task, _ = await four.members[here].queued()
        await _run(agent, task.id)
        seen = await four.members[there].until_state(task.id, tasks.TASK_STATE_COMPLETED)
        assert seen.status.agent_id == "agent-1"


async def test_a_log_written_at_one_is_followed_at_the_other(four: Four) -> None:
    one, two = four.members
    task = await one.started()
    stream = two.logs.ReadLog(logs.ReadLogRequest(task_id=task.id, follow=True))
    await one.write_log(task.id, 1, b"early\n")
    got = b""

    async def read(wanted: bytes) -> None:
        nonlocal got
        while got != wanted:
            answer = await stream.read()
            got += b"".join(chunk.data for chunk in answer.chunks)

    await soon(read(b"early\n"))
    await one.write_log(task.id, 1, b"late\n", offset=6)
    await soon(read(b"early\nlate\n"))
    stream.cancel()


async def test_when_an_api_process_and_a_broker_end_the_others_do_their_work(four: Four) -> None:
    agent = await four.agent(1, "agent-1")
    first, _ = await four.members[0].queued()
    await _run(agent, first.id)
    await four.members[1].until_state(first.id, tasks.TASK_STATE_COMPLETED)
    await four.apis[0].process.stop(grace=0)
    await four.brokers[0].process.stop(grace=0)
    second, _ = await four.members[1].queued()
    await _run(agent, second.id)
    await four.members[1].until_state(second.id, tasks.TASK_STATE_COMPLETED)


async def test_the_first_credentials_are_written_once(four: Four) -> None:
    found = [(api.settings.data_dir / "admin.credentials").exists() for api in four.apis]
    assert found == [True, False]
