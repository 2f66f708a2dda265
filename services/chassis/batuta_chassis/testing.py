"""What tests of services need: a service on a free loopback port, tokens of any role, and stores in memory."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc.aio

from batuta_chassis.bus import LOOK_AGAIN, LOOK_AGAIN_CONNECTED, Listener
from batuta_chassis.server import ServiceProcess
from batuta_chassis.service import Build
from batuta_chassis.settings import Settings
from batuta_chassis.tokens import ATTEMPT_ISSUER, PEOPLE_ISSUER, Signer
from batuta_rpc.auth import StaticToken
from batuta_rpc.channel import open_aio
from batuta_rpc.clock import Clock, SystemClock
from batuta_rpc.ids import Ids, SystemIds

S = TypeVar("S")
T = TypeVar("T")


class MemoryTransactor(Generic[S]):
    """Use cases over one store in memory: undone by putting back a deep copy when one raises."""

    def __init__(self, make_store: Callable[[], S]) -> None:
        self._store = make_store()

    @property
    def store(self) -> S:
        """The store as it is now."""
        return self._store

    async def write(self, fn: Callable[[S], T], *, bulk: int = 0, late: bool = False) -> T:
        """Run `fn`; if it raises, the store is as it was before."""
        before = copy.deepcopy(self._store)
        try:
            return fn(self._store)
        except BaseException:
            self._store = before
            raise

    async def read(self, fn: Callable[[S], T]) -> T:
        """Run `fn` on a copy, so that a query that writes by mistake has no effect."""
        return fn(copy.deepcopy(self._store))


class MemoryRequests:
    """Answers to requests, in memory: the `RequestStore` of stores in memory."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], tuple[bytes, bytes]] = {}

    def find_request(self, caller: str, method: str, request_id: str) -> tuple[bytes, bytes] | None:
        """(hash of the request, serialized response), if the id was seen."""
        return self._kept.get((caller, method, request_id))

    def keep_request(self, caller: str, method: str, request_id: str, request_hash: bytes, response: bytes) -> None:
        """Keep an answer."""
        self._kept[caller, method, request_id] = (request_hash, response)


@dataclass
class Tokens:
    """Tokens of every kind, signed with the keys in one folder."""

    keys_dir: Path
    clock: Clock
    ids: Ids

    def of(
        self, *roles: str, subject: str = "tester", ttl: timedelta = timedelta(minutes=10), agent_id: str = ""
    ) -> str:
        """A token with these roles."""
        signer = Signer.load_or_create(self.keys_dir, PEOPLE_ISSUER, self.clock, self.ids)
        return signer.sign_user(subject, frozenset(roles), ttl, agent_id=agent_id)[0]

    def of_attempt(self, task_id: str, attempt: int, ttl: timedelta = timedelta(days=1)) -> str:
        """The token of an attempt's run."""
        signer = Signer.load_or_create(self.keys_dir, ATTEMPT_ISSUER, self.clock, self.ids)
        return signer.sign_attempt(task_id, attempt, self.clock.now() + ttl)


@dataclass
class Running:
    """A service under test. Everything it opened is closed with it."""

    process: ServiceProcess
    settings: Settings
    tokens: Tokens
    _channels: list[grpc.aio.Channel] = field(default_factory=list[grpc.aio.Channel])

    @property
    def address(self) -> str:
        """`host:port`."""
        return self.process.address

    def channel(self, *roles: str, subject: str = "tester", token: str | None = None) -> grpc.aio.Channel:
        """A channel of ours whose calls carry a token with these roles, or `token`; none of both: no token."""
        if token is None and roles:
            token = self.tokens.of(*roles, subject=subject)
        made = open_aio(self.address, None if token is None else StaticToken(token), "test")
        self._channels.append(made)
        return made

    async def close(self) -> None:
        """Close the channels and stop the service at once."""
        for channel in self._channels:
            await channel.close()
        await self.process.stop(grace=0)


@contextlib.asynccontextmanager
async def running(
    build: Build,
    data_dir: Path,
    *,
    service: str = "test",
    clock: Clock | None = None,
    ids: Ids | None = None,
    **settings: Any,
) -> AsyncGenerator[Running]:
    """Start a service on a free loopback port, in this process; `settings` are fields of `Settings`."""
    clock, ids = clock or SystemClock(), ids or SystemIds()
    chosen = Settings(service=service, data_dir=data_dir, **settings)
    process = ServiceProcess(build, chosen, clock, ids)
    await process.start()
    started = Running(process, process.settings, Tokens(chosen.keys_dir, clock, ids))
    try:
        yield started
    finally:
        await started.close()


class Exchange:
    """Connects the buses of several processes that a test keeps in one event loop; cut, it loses everything."""

    def __init__(self) -> None:
        self._buses: list[ExchangeBus] = []
        self.cut = False

    def bus(self) -> ExchangeBus:
        """The bus of one more process."""
        made = ExchangeBus(self)
        self._buses.append(made)
        return made

    def carry(self, sender: ExchangeBus, topic: str) -> None:
        """Bring a topic to all but its sender."""
        for bus in self._buses:
            if bus is not sender and not self.cut:
                bus.hear(topic)


class ExchangeBus:
    """A `Bus` inside one event loop."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._listeners: list[Listener] = []

    @property
    def look_again(self) -> float:
        """As with Redis."""
        return LOOK_AGAIN if self._exchange.cut else LOOK_AGAIN_CONNECTED

    def send(self, topic: str) -> None:
        """Tell the others at once."""
        self._exchange.carry(self, topic)

    def listen(self, listener: Listener) -> None:
        """Have `listener` called for every topic of others."""
        self._listeners.append(listener)

    def hear(self, topic: str) -> None:
        """Pass a topic to the listeners."""
        for listener in self._listeners:
            listener(topic)

    async def run(self) -> None:
        """Nothing to keep."""
