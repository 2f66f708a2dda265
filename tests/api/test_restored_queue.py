"""The API with the real queue service, whose database comes back from an older copy: no task lost, none run twice."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from google.rpc import error_details_pb2, status_pb2

from batuta_api.__main__ import build as build_api
from batuta_chassis.testing import Running, running
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_queue.__main__ import build as build_queue
from batuta_queue.testing_agent import FakeAgent

RUNS, SUCCEEDED = types.ATTEMPT_PHASE_RUNNING, types.ATTEMPT_PHASE_SUCCEEDED


class Deployment:
    """An API that stays, and a queue service on one port that is stopped, copied, put back and started."""

    def __init__(self, folder: Path, api: Running, port: int, member: Any) -> None:
        self.api = api
        self.member = member
        self._folder = folder
        self._port = port
        self._queue: contextlib.AbstractAsyncContextManager[Running] | None = None
        self.queue: Running | None = None

    async def start_queue(self) -> None:
        """Start the queue service on what lies in its folder."""
        keys = self._folder / "keys"
        self._queue = running(build_queue, self._folder / "queue", service="queue", keys_dir=keys, port=self._port)
        self.queue = await self._queue.__aenter__()

    async def stop_queue(self) -> None:
        """Stop it."""
        if self._queue is not None:
            await self._queue.__aexit__(None, None, None)
        self._queue = None

    def copy(self, name: str) -> None:
        """Keep a copy of its database; it must be stopped."""
        for file in (self._folder / "queue").glob("queue.db*"):
            shutil.copy(file, self._folder / f"{name}.{file.name}")

    def put_back(self, name: str) -> None:
        """Put a copy in its place, as from a backup."""
        for file in (self._folder / "queue").glob("queue.db*"):
            file.unlink()
        for file in self._folder.glob(f"{name}.queue.db*"):
            shutil.copy(file, self._folder / "queue" / file.name.removeprefix(f"{name}."))

    def begin_log_anew(self) -> None:
        """Have the next start take its database for a restored one; it must be stopped."""
        (self._folder / "queue" / "queue.log-place").unlink()

    async def agent(self, name: str, queue_name: str = "default") -> FakeAgent:
        """An agent that serves a queue."""
        assert self.queue is not None
        found = await self.member.queues.GetQueue(queues.GetQueueRequest(display_name=queue_name))
        agent = FakeAgent(self.queue.channel("agent", subject=f"agent:{name}"), [found.queue.id], name)
        await agent.connect()
        await agent.beat()
        return agent


@contextlib.asynccontextmanager
async def deployed(folder: Path, make_stubs: Any) -> AsyncGenerator[Deployment]:
    """Both services, started."""
    keys = folder / "keys"
    async with running(build_queue, folder / "queue", service="queue", keys_dir=keys) as first:
        port = first.settings.port
    endpoint = f"127.0.0.1:{port}"
    async with running(build_api, folder / "api", service="api", keys_dir=keys, queue_endpoint=endpoint) as api:
        made = Deployment(folder, api, port, make_stubs(api))
        await made.start_queue()
        try:
            yield made
        finally:
            await made.stop_queue()


async def run(agent: FakeAgent, member: Any, task_id: str, attempt: int) -> None:
    """Take the next assignment, which must be that attempt, and end it well."""
    assignment = await agent.next("assignment")
    assert (assignment.ref.task_id, assignment.ref.attempt) == (task_id, attempt)
    await agent.accept(assignment)
    await agent.report(assignment.ref, RUNS)
    await agent.report(assignment.ref, SUCCEEDED, exit_code=0)
    await member.until_state(task_id, tasks.TASK_STATE_COMPLETED)


async def test_a_task_queued_after_the_copy_is_submitted_again_and_an_ended_one_does_not_run_again(
    tmp_path: Path, make_stubs: Any
) -> None:
    async with deployed(tmp_path, make_stubs) as both:
        member = both.member
        ended, _ = await member.queued()
        await member.until(ended.id, lambda _: True)
        agent = await both.agent("a1")
        assignment = await agent.next("assignment")
        agent.cut()
        await both.stop_queue()
        both.copy("noon")
        await both.start_queue()
        agent = await both.agent("a2")
        # The offer that the first agent left is given out again, under the next number, and ends.
        await run(agent, member, ended.id, assignment.ref.attempt + 1)
        after, _ = await member.queued()
        await run(agent, member, after.id, 1)
        agent.cut()
        waiting, _ = await member.queued()
        before = [(await member.get(each.id)).status for each in (ended, after)]
        await both.stop_queue()
        both.put_back("noon")
        await both.start_queue()
        await _known_again(both, waiting.id)
        agent = await both.agent("a3")
        await run(agent, member, waiting.id, 1)
        assert await agent.nothing("assignment")
        assert [(await member.get(each.id)).status for each in (ended, after)] == before
        agent.cut()


async def test_an_entry_that_an_operator_let_go_keeps_its_place_when_the_log_begins_anew(
    tmp_path: Path, make_stubs: Any
) -> None:
    async with deployed(tmp_path, make_stubs) as both:
        member = both.member
        first, entry = await member.queued(retry=types.RetryPolicy(lease_policy=types.LEASE_POLICY_FAST))
        await _held(both, first.id)
        second, _ = await member.queued()
        await member.queues.CreateQueue(queues.CreateQueueRequest(display_name="aside"))
        await member.queues.ReleaseEntry(queues.ReleaseEntryRequest(entry_id=entry))
        await member.until(first.id, lambda task: not task.status.reason)
        await both.stop_queue()
        both.begin_log_anew()
        await both.start_queue()
        aside = await member.draft()
        await member.tasks.EnqueueTask(tasks.EnqueueTaskRequest(task_id=aside.id, queue_name="aside"))
        await run(await both.agent("a3", "aside"), member, aside.id, 1)  # the API follows the new log by now
        agent = await both.agent("a4")
        await run(agent, member, first.id, 3)
        await run(agent, member, second.id, 1)


async def _held(both: Deployment, task_id: str) -> None:
    """Have two agents lose the shim of a task, so that it is held."""
    reason = status_pb2.Status(code=2, message="its shim is gone")
    reason.details.add().Pack(error_details_pb2.ErrorInfo(reason="SHIM_LOST", domain="batuta"))
    for name in ("a1", "a2"):
        agent = await both.agent(name)
        assignment = await agent.next("assignment")
        await agent.accept(assignment)
        await agent.report(assignment.ref, types.ATTEMPT_PHASE_FAILED, reason=reason)
        agent.cut()
    await both.member.until(task_id, lambda task: task.status.reason == "HELD")


async def _known_again(both: Deployment, task_id: str) -> None:
    """Until the restored queue has the entry of a task."""
    from batuta_rpc.clock import SystemClock

    clock = SystemClock()
    end = clock.monotonic() + 20
    found = await both.member.queues.GetQueue(queues.GetQueueRequest(display_name="default"))
    while True:
        listed = await both.member.queues.ListEntries(queues.ListEntriesRequest(queue_id=found.queue.id))
        if [each.task_id for each in listed.entries] == [task_id]:
            return
        assert clock.monotonic() < end, listed
        await clock.sleep(0.05)
