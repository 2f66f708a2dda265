"""For the state machine: broker processes over rows that outlive them, and the streams between them and agents."""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from batuta_chassis.background import Background
from batuta_chassis.tokens import ATTEMPT_ISSUER, Signer
from batuta_proto.agents import v1 as agents
from batuta_queue.broker import Broker
from batuta_rpc.errors import RpcError, StorageFailed
from batuta_rpc.testing import FakeClock, SeededIds

from .model_store import ModelTransactor, Rows

_TURNS = 20_000


class Loop:
    """An event loop run by hand: whenever it rests, nothing is left to do before time moves."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.faults: list[str] = []
        self.loop.set_exception_handler(lambda _loop, context: self.faults.append(str(context)))

    def rest(self) -> None:
        """Run until nothing can run."""
        for _ in range(_TURNS):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
            if not self.loop._ready:  # type: ignore[attr-defined]  # there is no public word for it
                return
        raise AssertionError("the event loop never comes to rest")

    def kill_everything(self) -> None:
        """Cancel every task, and those that they start while they end."""
        while tasks := asyncio.all_tasks(self.loop):
            for task in tasks:
                task.cancel()
            self.rest()

    def close(self) -> None:
        """End it."""
        self.kill_everything()
        self.loop.close()


@dataclass
class End:
    """The last thing that an agent reads from a stream."""

    error: Exception | None


class Pipe:
    """One stream. What either side wrote lies here until the machine delivers it."""

    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        self.up: deque[agents.SessionRequest] = deque()
        self.down: deque[agents.SessionResponse | End] = deque()
        self.abandoned = False
        """The agent has closed its end; the broker may not know."""
        self._arrived: asyncio.Queue[agents.SessionRequest | None] = asyncio.Queue()
        self._serving: asyncio.Task[None] | None = None

    @property
    def served(self) -> bool:
        """Whether the broker still has its end."""
        return self._serving is not None and not self._serving.done()

    def open(self, broker: BrokerProcess) -> None:
        """Let `broker` serve it."""
        self._serving = broker.loop.loop.create_task(self._serve(broker.broker))

    def carry_up(self, count: int) -> int:
        """Let up to `count` messages arrive at the broker. Returns how many did."""
        done = 0
        while self.up and done < count:
            self._arrived.put_nowait(self.up.popleft())
            done += 1
        return done

    def cut(self) -> None:
        """The broker sees that the connection is gone."""
        self.up.clear()
        if self._serving is not None:
            self._serving.cancel()

    async def _serve(self, broker: Broker) -> None:
        try:
            await broker.streams.serve(self._requests(), self._write)
        except RpcError as error:
            self.down.append(End(error))
        else:
            self.down.append(End(None))

    async def _requests(self) -> AsyncIterator[agents.SessionRequest]:
        while (message := await self._arrived.get()) is not None:
            yield message

    async def _write(self, message: agents.SessionResponse) -> None:
        self.down.append(message)


class BrokerProcess:
    """One life of the broker."""

    def __init__(self, rows: Rows, loop: Loop, clock: FakeClock, seed: int) -> None:
        self.loop = loop
        self.transactor = ModelTransactor(rows, loop.loop)
        ids = SeededIds(seed)
        self.broker = Broker(self.transactor, signer(), clock, ids)
        self._background = Background(clock, ids)
        self.started = False
        loop.loop.create_task(self._start())

    @property
    def quiet(self) -> bool:
        """Whether memory is a mirror of the rows now."""
        return self.started and not (self.transactor.busy or self.transactor.dead)

    def stop_in_order(self) -> None:
        """As on SIGTERM: agents are sent away first."""
        self.loop.loop.create_task(self.broker.drain())
        self.loop.rest()

    def kill(self) -> None:
        """As by SIGKILL: nothing more reaches the rows."""
        self.transactor.dead = True
        self.started = False
        self.loop.kill_everything()

    async def _start(self) -> None:
        try:
            await self.broker.start()
        except StorageFailed:
            self.transactor.dead = True  # the process ends, and whoever watches over it starts another one
            return
        self._background.start(self.broker.background)
        self.started = True


@functools.cache
def signer() -> Signer:
    """One key for all brokers: what it signs is not looked at."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    return Signer(key, ATTEMPT_ISSUER, FakeClock(), SeededIds())
