"""Real broker processes on one PostgreSQL, with Redis between them, and workers that look for any of them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio

from batuta_chassis.testing import Tokens
from batuta_proto.queues import v1 as queues
from batuta_queue.testing_agent import submit_request
from batuta_rpc.channel import open_aio
from batuta_rpc.clock import SystemClock, within
from batuta_rpc.errors import DeadlineExceeded, Unavailable
from batuta_rpc.ids import SystemIds

from .workers import Worker

CLOCK = SystemClock()
BACK_WITHIN = 15.0
DONE_WITHIN = 60.0


class Fresh:
    """Tokens that are signed anew for each call."""

    def __init__(self, tokens: Tokens, role: str) -> None:
        self._tokens = tokens
        self._role = role

    def token(self) -> str:
        """One with the role."""
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
    apis: list[Broker] = field(default_factory=list[Broker])
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
        self.brokers.append(await self._start("batuta_queue", environ))
        return self.brokers[-1]

    async def start_api(self) -> Broker:
        """An API process before the brokers that there are."""
        number = len(self.apis)
        environ = {
            **os.environ,
            "BATUTA_API_DATA_DIR": str(self.folder / f"api-{number}"),
            "BATUTA_API_KEYS_DIR": str(self.folder / "keys"),
            "BATUTA_API_DATABASE_URL": self.database_url,
            "BATUTA_API_REDIS_URL": self.redis_url,
            "BATUTA_API_QUEUE_ENDPOINT": ",".join(each.address for each in self.brokers),
            "BATUTA_API_LOG_LEVEL": "WARNING",
        }
        self.apis.append(await self._start("batuta_api", environ))
        return self.apis[-1]

    def channel(self, address: str, role: str) -> grpc.aio.Channel:
        """A channel of somebody with that role, who repeats nothing by himself."""
        made = open_aio(address, Fresh(self.tokens, role), "test", dispatch=True, retries=False)
        self.stack.push_async_callback(made.close)
        return made

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

    async def start_workers(self, count: int, slots: int = 1) -> None:
        """Workers that have been welcomed; each takes `slots` tasks at once."""
        queue_id = await self.queue_id()
        addresses = [each.address for each in self.brokers]
        for number in range(count):
            worker = Worker(f"worker-{number}", addresses, Fresh(self.tokens, "agent"), queue_id, slots)
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

    async def _start(self, module: str, environ: dict[str, str]) -> Broker:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, env=environ, stdout=asyncio.subprocess.PIPE
        )
        self.stack.push_async_callback(end_process, process)
        assert process.stdout is not None
        line = await within(CLOCK, 40, process.stdout.readline())
        return Broker(process, line.decode().split()[-1])

    def _channel(self, address: str) -> grpc.aio.Channel:
        known = self._channels.get(address)
        if known is not None:
            return known
        made = self._channels[address] = self.channel(address, "service")
        return made


async def end_process(process: asyncio.subprocess.Process) -> None:
    """Kill it, frozen or not."""
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
