"""A full disk under the queue service: leases live on and work goes on, in what was kept for that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from batuta_chassis.testing import running
from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types
from batuta_queue.__main__ import build
from batuta_queue.testing_agent import FakeAgent, submit_request

pytestmark = pytest.mark.chaos

TASKS = 40


async def test_agents_go_on_where_the_disk_is_full(
    small_disk: Callable[[int], Path], fill_disk: Callable[[Path], Path]
) -> None:
    disk = small_disk(64)
    async with running(build, disk, service="queue") as service:
        stub = queues.QueueServiceStub(service.channel("service", subject="service:api"))
        queue = (await stub.GetQueue(queues.GetQueueRequest(display_name="default"))).queue
        agent = FakeAgent(service.channel("agent", subject="agent:a1"), [queue.id], "a1")
        await agent.connect()
        fill_disk(disk)
        for number in range(TASKS):
            await stub.SubmitEntry(submit_request(f"e{number}", queue.id))
            await agent.beat()
            assignment = await agent.next("assignment")
            await agent.accept(assignment)
            await agent.report(assignment.ref, types.ATTEMPT_PHASE_RUNNING)
            await agent.report(assignment.ref, types.ATTEMPT_PHASE_SUCCEEDED, exit_code=0)
        asked = queues.BatchGetEntriesRequest(entry_ids=[f"e{number}" for number in range(TASKS)])
        events = (await stub.BatchGetEntries(asked)).events
        assert [each.entry_state for each in events] == [queues.ENTRY_STATE_DONE] * TASKS
        agent.cut()
