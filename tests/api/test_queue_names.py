"""Names of queues are remembered for a moment, forgotten when they change, and believed while nobody can be asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from batuta_api import topics
from batuta_api.tasks.queue_names import QueueNames
from batuta_rpc.channel import open_aio
from batuta_rpc.errors import QueueNotFound, UpstreamUnavailable
from batuta_rpc.testing import FakeClock, SeededIds


@dataclass
class Asked:
    """What is asked, whom, and when."""

    names: QueueNames
    queue: Any
    clock: FakeClock

    async def find(self, name: str = "default") -> str:
        """The id behind a name."""
        return (await self.names.find("", name, create=False)).id

    def rename(self, queue_id: str, name: str) -> None:
        """Give a queue another name, and its old one to a new queue."""
        old = self.queue.service.queues[queue_id].display_name
        self.queue.service.queues[queue_id].display_name = name
        self.queue.service.make_queue(old)


@pytest.fixture
async def asked(queue: Any) -> AsyncIterator[Asked]:
    clock = FakeClock()
    async with open_aio(queue.endpoint, None, "test", retries=False) as channel:
        yield Asked(QueueNames(channel, clock, SeededIds()), queue, clock)


async def test_a_change_that_nobody_tells_of_counts_after_a_moment(asked: Asked) -> None:
    assert await asked.find() == "q-1"
    asked.rename("q-1", "old")
    assert await asked.find() == "q-1"
    asked.clock.advance(2)
    assert await asked.find() == "q-2"
    del asked.queue.service.queues["q-2"]
    asked.clock.advance(2)
    with pytest.raises(QueueNotFound):
        await asked.find()


async def test_a_change_that_another_process_tells_of_counts_at_once(asked: Asked) -> None:
    assert await asked.find() == "q-1"
    asked.rename("q-1", "old")
    asked.names.hear(topics.TASKS)
    assert await asked.find() == "q-1"
    asked.names.hear(topics.QUEUES)
    assert await asked.find() == "q-2"


async def test_what_was_asked_before_a_change_is_not_remembered_after_it(asked: Asked) -> None:
    question = asyncio.ensure_future(asked.find())
    await asyncio.sleep(0)  # it is on its way
    asked.names.forget_all()
    await question
    asked.rename("q-1", "old")
    assert await asked.find() == "q-2"


async def test_what_is_known_is_believed_while_the_queue_service_is_away(asked: Asked) -> None:
    assert await asked.find() == "q-1"
    await asked.queue.stop()
    for _ in range(3):
        asked.clock.advance(60)
        assert await asked.find() == "q-1"
    with pytest.raises(UpstreamUnavailable):
        await asked.find("elsewhere")
    asked.names.forget_all()
    with pytest.raises(UpstreamUnavailable):
        await asked.find()
