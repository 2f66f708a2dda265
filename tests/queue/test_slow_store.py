"""A store that takes long: the silence meanwhile is the broker's own, and proves nothing about agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from batuta_chassis.tokens import Signer
from batuta_proto.agents import v1 as agents
from batuta_proto.types import v1 as types
from batuta_queue.broker import Broker
from batuta_queue.model import EntryState
from batuta_queue.numbers import Numbers
from batuta_queue.store import QueueStore
from batuta_queue.testing import MemoryTransactor
from batuta_queue.testing_agent import submit_request
from batuta_rpc.testing import FakeClock, SeededIds, settle, until


class Stuck(MemoryTransactor):
    """A store whose commits may be held up."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()
        self.free.set()

    async def write(self, fn: Callable[[QueueStore], Any]) -> Any:
        await self.free.wait()
        return await super().write(fn)


def report(number: int, phase: types.AttemptPhase) -> agents.SessionRequest:
    ref = agents.AssignmentRef(task_id="task-of-e1", attempt=1)
    return agents.SessionRequest(report=agents.AssignmentReport(report_number=number, ref=ref, phase=phase))


async def test_an_agent_whose_report_waits_for_the_store_is_neither_silent_nor_lost(tmp_path: Path) -> None:
    clock, ids, store = FakeClock(), SeededIds(), Stuck()
    broker = Broker(store, Signer.load_or_create(tmp_path, "queue", clock, ids), clock, ids, Numbers())
    await broker.start()
    (queue, _) = await broker.queues.page("", 10)
    said: list[agents.SessionResponse] = []
    goes_on = asyncio.Event()

    async def agent() -> AsyncIterator[agents.SessionRequest]:
        yield agents.SessionRequest(
            hello=agents.Hello(
                agent_id="a", instance_id="i", journal_id="j", boot_id="b", queue_ids=[queue.id], max_assignments=1
            )
        )
        await until(lambda: any(each.HasField("assignment") for each in said))
        yield report(1, types.ATTEMPT_PHASE_ACCEPTED)
        await until(lambda: any(each.report_ack.report_number == 1 for each in said))
        store.free.clear()
        yield report(2, types.ATTEMPT_PHASE_RUNNING)
        await goes_on.wait()

    async def write(message: agents.SessionResponse) -> None:
        said.append(message)

    serving = asyncio.create_task(broker.streams.serve(agent(), write))
    await until(lambda: len(broker.registry) == 1)
    retry = types.RetryPolicy(lease_policy=types.LEASE_POLICY_FAST)
    await broker.submitter.submit(submit_request("e1", queue.id, retry=retry))
    await until(lambda: any(each.taking for each in broker.registry.all()) and not store.free.is_set())
    clock.advance(90)
    await broker.sweeper.sweep()
    assert len(broker.registry) == 1
    assert not serving.done()
    store.free.set()
    await until(lambda: any(each.report_ack.report_number == 2 for each in said))
    await broker.sweeper.sweep()
    entry = await store.read(lambda rows: rows.entry("e1"))
    assert entry is not None
    assert entry.state is EntryState.RUNNING
    goes_on.set()
    await settle()
    await broker.drain()
    await asyncio.gather(serving, return_exceptions=True)
    await broker.stop()
