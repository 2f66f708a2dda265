"""Real broker processes on one PostgreSQL, with Redis between them: any is killed or frozen, Redis goes away, and no
task is lost, run twice or stuck."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from batuta_chassis.testing import Tokens
from batuta_proto.queues import v1 as queues
from batuta_queue.testing_agent import submit_request
from batuta_rpc.channel import open_aio
from batuta_rpc.clock import SystemClock, within
from batuta_rpc.errors import DeadlineExceeded, Unavailable
from batuta_rpc.ids import SystemIds
from tools.redis_server import RedisServer

from .workers import Worker

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]
CLOCK = SystemClock()
BACK_WITHIN = 15.0
DONE_WITHIN = 60.0


class _Fresh:
    def __init__(self, tokens: Tokens, role: str) -> None:
        self._tokens = tokens
        self._role = role

    def token(self) -> str:
        return self._tokens.of(self._role, subject="service:api" if self._role == "service" else "tester")


@dataclass
class Broker:
    """One process."""

    process: asyncio.subprocess.Process
    address: str

    def kill(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)


@dataclass
class Deployment:
    """Some brokers, workers that look for any of them, and what was submitted."""

    folder: Path
    database_url: str
    redis_url: str
    stack: AsyncExitStack
    brokers: list[Broker] = field(default_factory=list[Broker])
    workers: list[Worker] = field(default_factory=list[Worker])
    submitted: list[str] = field(default_factory=list[str])
    _channels: dict[str, grpc.aio.Channel] = field(default_factory=dict[str, grpc.aio.Channel])

    def __post_init__(self) -> None:
        """The keys are the deployment's."""
        self.tokens = Tokens(self.folder / "keys", CLOCK, SystemIds())

    async def start_broker(self, port: int = 0) -> Broker:
        """One more broker, or one that comes again on its port."""
        number = len(self.brokers)
        environ = {
            **os.environ,
            "BATUTA_QUEUE_DATA_DIR": str(self.folder / f"broker-{number}-{port}"),
            "BATUTA_QUEUE_KEYS_DIR": str(self.folder / "keys"),
            "BATUTA_QUEUE_DATABASE_URL": self.database_url,
            "BATUTA_QUEUE_REDIS_URL": self.redis_url,
            "BATUTA_QUEUE_PORT": str(port),
            "BATUTA_QUEUE_LOG_LEVEL": "WARNING",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "batuta_queue", env=environ, stdout=asyncio.subprocess.PIPE
        )
        self.stack.push_async_callback(_end, process)
        assert process.stdout is not None
        line = await within(CLOCK, 40, process.stdout.readline())
        broker = Broker(process, line.decode().split()[-1])
        self.brokers.append(broker)
        return broker

    def stub(self, broker: Broker) -> Any:
        """One broker's calls."""
        return queues.QueueServiceStub(self._channel(broker.address))

    @property
    def all(self) -> Any:
        """Calls to any broker."""
        return queues.QueueServiceStub(self._channel(",".join(each.address for each in self.brokers)))

    async def queue_id(self) -> str:
        """The default queue."""
        found = await self.stub(self.brokers[0]).GetQueue(queues.GetQueueRequest(display_name="default"))
        return str(found.queue.id)

    async def start_workers(self, count: int) -> None:
        """Workers that have been welcomed."""
        queue_id = await self.queue_id()
        addresses = [each.address for each in self.brokers]
        for number in range(count):
            worker = Worker(f"worker-{number}", addresses, _Fresh(self.tokens, "agent"), queue_id)
            self.workers.append(worker)
            running = asyncio.create_task(worker.run())
            self.stack.push_async_callback(_cancel, running)
        await wait_for(lambda: all(each.welcomes for each in self.workers), 30)

    async def submit(self, count: int, stub: Any, queue_id: str) -> None:
        """Put tasks in, each again until it was acknowledged."""
        for _ in range(count):
            entry_id = f"e{len(self.submitted)}"
            self.submitted.append(entry_id)
            while True:
                try:
                    await stub.SubmitEntry(submit_request(entry_id, queue_id), timeout=3)
                    break
                except (Unavailable, DeadlineExceeded):
                    await CLOCK.sleep(0.1)

    def all_connected(self, but: str) -> bool:
        """Whether every worker is connected, and not there."""
        return all(each.connected_to not in ("", but) for each in self.workers)

    @property
    def ran(self) -> Counter[str]:
        """How often each task was run."""
        total: Counter[str] = Counter()
        for worker in self.workers:
            for (task_id, _), count in worker.ran.items():
                total[task_id] += count
        return total

    async def all_done(self, seconds: float = DONE_WITHIN) -> None:
        """Every task has run once, and its entry is done, as any living broker tells."""
        wanted = {f"task-of-{each}" for each in self.submitted}
        await wait_for(lambda: self.ran.keys() >= wanted, seconds)
        assert {task_id: count for task_id, count in self.ran.items() if count != 1} == {}
        request = queues.BatchGetEntriesRequest(entry_ids=self.submitted[:1000])

        async def done() -> bool:
            try:
                events = (await self.all.BatchGetEntries(request, timeout=3)).events
            except (Unavailable, DeadlineExceeded):
                return False
            return all(each.entry_state == queues.ENTRY_STATE_DONE for each in events)

        await wait_for_async(done, seconds)

    def _channel(self, address: str) -> grpc.aio.Channel:
        known = self._channels.get(address)
        if known is not None:
            return known
        made = self._channels[address] = open_aio(
            address, _Fresh(self.tokens, "service"), "test", dispatch=True, retries=False
        )
        self.stack.push_async_callback(made.close)
        return made


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
    await process.wait()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until `condition` holds. Raises `AssertionError` when the time is over first."""
    end = CLOCK.monotonic() + seconds
    while not condition():
        assert CLOCK.monotonic() < end, f"not within {seconds:g} s"
        await CLOCK.sleep(0.05)


async def wait_for_async(condition: Any, seconds: float) -> None:
    """The same for a condition that asks somebody."""
    end = CLOCK.monotonic() + seconds
    while not await condition():
        assert CLOCK.monotonic() < end, f"not within {seconds:g} s"
        await CLOCK.sleep(0.1)


@pytest.fixture
def redis() -> Any:
    """A Redis server of this test."""
    with RedisServer() as server:
        yield server


@pytest.fixture
async def deployment(tmp_path: Path, new_database: Callable[[], str], redis: RedisServer) -> AsyncGenerator[Deployment]:
    """Nothing is started yet; all that is will be ended."""
    async with AsyncExitStack() as stack:
        yield Deployment(tmp_path, new_database(), redis.url, stack)


async def test_brokers_killed_in_turn_lose_and_double_nothing_and_their_agents_are_back(deployment: Deployment) -> None:
    for _ in range(3):
        await deployment.start_broker()
    await deployment.start_workers(6)
    queue_id = await deployment.queue_id()
    for turn in range(3):
        submitting = asyncio.create_task(deployment.submit(60, deployment.all, queue_id))
        await wait_for(lambda: len(deployment.submitted) % 60 > 20, 30)
        victim = deployment.brokers[turn]
        victim.kill(signal.SIGKILL)
        killed = CLOCK.monotonic()
        await victim.process.wait()
        left = BACK_WITHIN - (CLOCK.monotonic() - killed)
        await wait_for(partial(deployment.all_connected, but=victim.address), left)
        await submitting
        await deployment.all_done()
        await deployment.start_broker(int(victim.address.rsplit(":", 1)[1]))
        deployment.brokers[turn] = deployment.brokers.pop()
    # An offer whose answer met the end of its broker is made again; what had begun is never taken away.
    assert not [ref for worker in deployment.workers for ref in worker.told_lost if worker.ran[ref]]


async def test_a_broker_that_was_frozen_until_it_counted_as_dead_is_fenced(deployment: Deployment) -> None:
    one, two = await deployment.start_broker(), await deployment.start_broker()
    await deployment.start_workers(4)
    queue_id = await deployment.queue_id()
    two.kill(signal.SIGSTOP)
    await deployment.submit(20, deployment.stub(one), queue_id)
    await deployment.all_done()
    # Longer than the ten looks after which its row is taken out.
    await CLOCK.sleep(14)
    two.kill(signal.SIGCONT)
    await deployment.submit(20, deployment.stub(two), queue_id)
    await deployment.submit(20, deployment.stub(one), queue_id)
    await deployment.all_done()
    assert two.process.returncode is None


async def test_without_redis_work_goes_on_a_little_later(deployment: Deployment, redis: RedisServer) -> None:
    one, two = await deployment.start_broker(), await deployment.start_broker()
    await deployment.start_workers(4)
    queue_id = await deployment.queue_id()
    await deployment.submit(20, deployment.stub(one), queue_id)
    redis.flush()
    await deployment.submit(20, deployment.stub(two), queue_id)
    await deployment.all_done(20)
    redis.stop()
    await deployment.submit(20, deployment.stub(one), queue_id)
    await deployment.submit(20, deployment.stub(two), queue_id)
    await deployment.all_done(20)
    redis.start()
    await deployment.submit(20, deployment.stub(one), queue_id)
    await deployment.all_done(20)
    assert [len(worker.welcomes) for worker in deployment.workers] == [1] * 4
