"""What becomes of messages for a queue service that breaks on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from batuta_api import topics
from batuta_api.tasks import entries
from batuta_api.tasks.delivery import Delivery
from batuta_api.tasks.link import Link
from batuta_api.tasks.model import Definition, Task, TaskState, TaskStatus
from batuta_api.tasks.queue_names import QueueNames
from batuta_api.testing import RunningQueue, memory_work
from batuta_api.work import Work
from batuta_chassis.outbox import OutboxRow
from batuta_chassis.testing import MemoryTransactor
from batuta_proto.queues import v1 as queues
from batuta_rpc.channel import open_aio
from batuta_rpc.clock import SystemClock
from batuta_rpc.errors import Bug, QueueNotFound, RpcError, Unavailable
from batuta_rpc.testing import SeededIds

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BROKEN = Bug("the server has a fault")
WITHDRAWAL = OutboxRow(1, topics.WITHDRAW, "t1", entries.withdrawal("e1"))
SUBMISSION = OutboxRow(1, topics.SUBMIT, "t1", queues.SubmitEntryRequest(entry_id="e1").SerializeToString())


@pytest.fixture
def works() -> MemoryTransactor[Work]:
    """A service that keeps one queued task."""
    kept: MemoryTransactor[Work] = MemoryTransactor(memory_work)
    return kept


@pytest.fixture
async def delivery(queue: RunningQueue, works: MemoryTransactor[Work]) -> AsyncIterator[Delivery]:
    """Deliveries to a queue service of ours."""
    clock = SystemClock()
    status = TaskStatus(state=TaskState.QUEUED, entry_id="e1")
    task = Task("t1", "digits", "ada", "p1", "vision", NOW, NOW, status=status)
    await works.write(lambda work: work.tasks.add(task, Definition()))
    async with open_aio(queue.endpoint, None, "test", retries=False) as channel:
        link = Link(clock)
        link.set(True)
        yield Delivery(works, channel, link, QueueNames(channel, clock, SeededIds()), clock, SeededIds())


async def test_an_abort_is_not_given_up_because_the_queue_service_breaks_on_it(
    queue: RunningQueue, delivery: Delivery
) -> None:
    queue.service.refuse_withdraw = BROKEN
    with pytest.raises(Unavailable):  # which the outbox repeats without a bound
        await delivery.deliver(WITHDRAWAL)
    queue.service.refuse_withdraw = None
    await delivery.deliver(WITHDRAWAL)
    assert queue.service.withdrawals == ["e1", "e1"]


@pytest.mark.parametrize(("error", "told"), [(BROKEN, [topics.WITHDRAW]), (QueueNotFound("gone"), [])])
async def test_a_submission_given_up_leaves_no_entry_that_could_run(
    delivery: Delivery, works: MemoryTransactor[Work], error: RpcError, told: list[str]
) -> None:
    await delivery.refused(SUBMISSION, error)
    failed = await works.read(lambda work: work.tasks.get("t1"))
    assert failed is not None
    assert (failed.status.state, failed.status.reason) == (TaskState.FAILED, error.reason)
    posted = await works.read(lambda work: [topic for topic, _, _ in work.outbox.posted])  # type: ignore[attr-defined]
    assert posted == told
