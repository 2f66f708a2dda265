"""A queue service on a loopback port, and agents that speak to it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from batuta_chassis.database import Database, sqlite_url
from batuta_chassis.migrations import migrate
from batuta_chassis.service import Service
from batuta_chassis.settings import Settings
from batuta_chassis.testing import Running, running
from batuta_chassis.transactions import SqlTransactor
from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types
from batuta_queue.__main__ import MIGRATIONS, build
from batuta_queue.numbers import Numbers
from batuta_queue.sql import SqlStore
from batuta_queue.store import QueueStore
from batuta_queue.tables import metadata
from batuta_queue.testing import MemoryTransactor
from batuta_queue.testing_agent import FakeAgent, submit_request
from batuta_rpc.channel import open_aio
from batuta_rpc.clock import Clock, SystemClock, within
from batuta_rpc.ids import Ids
from batuta_rpc.testing import FakeClock

PATIENCE = 20.0
Kind = tuple[str, int, str, str]


class _Fresh:
    def __init__(self, service: Running, role: str, subject: str, agent_id: str = "") -> None:
        self._service = service
        self._role = role
        self._subject = subject
        self._agent_id = agent_id

    def token(self) -> str:
        return self._service.tokens.of(self._role, subject=self._subject, agent_id=self._agent_id)


@dataclass
class House:
    """One running queue service, and short words for what tests do with it."""

    service: Running
    clock: FakeClock
    queue_id: str = ""
    agents: list[FakeAgent] = field(default_factory=list[FakeAgent])
    channels: list[grpc.aio.Channel] = field(default_factory=list[grpc.aio.Channel])

    def __post_init__(self) -> None:
        """Dial as the API does."""
        channel = self.channel("service", "service:api")
        self.stub: Any = queues.QueueServiceStub(channel)
        self.agents_stub: Any = agents.AgentServiceStub(channel)

    async def close(self) -> None:
        """Leave nothing open."""
        for agent in self.agents:
            agent.cut()
        for channel in self.channels:
            await channel.close()

    def agent(self, agent_id: str = "agent-1", own: str = "", **facts: Any) -> FakeAgent:
        """An agent that is not connected yet; its credential is `own`'s only, where that is given."""
        facts.setdefault("queue_ids", [self.queue_id])
        made = FakeAgent(self.channel("agent", agent_id=own), agent_id=agent_id, patience=PATIENCE, **facts)
        self.agents.append(made)
        return made

    def channel(self, role: str, subject: str = "tester", agent_id: str = "") -> grpc.aio.Channel:
        """A channel whose tokens are signed anew for each call, because tests move the clock far."""
        made = open_aio(self.service.address, _Fresh(self.service, role, subject, agent_id), "test")
        self.channels.append(made)
        return made

    async def submit(self, entry_id: str = "e1", data: bytes = b"", **envelope: Any) -> queues.Entry:
        """Put a task into the default queue; `data` in place of the usual payload."""
        envelope.setdefault("queue_id", self.queue_id)
        request = submit_request(entry_id, **envelope)
        if data:
            request.payload = data
        response = await self.stub.SubmitEntry(request)
        entry: queues.Entry = response.entry
        return entry

    async def withdraw(self, entry_id: str = "e1", **fields: Any) -> queues.WithdrawEntryResponse:
        """Take a task out."""
        response: queues.WithdrawEntryResponse = await self.stub.WithdrawEntry(
            queues.WithdrawEntryRequest(entry_id=entry_id, **fields)
        )
        return response

    async def running_task(self, agent: FakeAgent, entry_id: str = "e1", **envelope: Any) -> agents.Assignment:
        """A task that `agent`, connected and free, has accepted."""
        await self.submit(entry_id, **envelope)
        assignment: agents.Assignment = await agent.next("assignment")
        await agent.accept(assignment)
        return assignment

    async def watch(self, after: queues.Cursor | None = None) -> AsyncIterator[queues.EntryEvent]:
        """Events one by one, as they come; without a cursor all that the log holds."""
        after = after or await self.log_start()
        call = self.stub.WatchAttempts(queues.WatchAttemptsRequest(after=after))
        while True:
            response = await within(SystemClock(), PATIENCE, call.read())
            for event in response.events:
                yield event

    async def log_start(self) -> queues.Cursor:
        """The cursor before the first event."""
        call = self.stub.WatchAttempts(queues.WatchAttemptsRequest())
        while True:
            response = await within(SystemClock(), PATIENCE, call.read())
            if response.synced:
                call.cancel()
                return queues.Cursor(log_epoch=response.cursor.log_epoch)

    async def story(self, *last: object, entry_id: str = "e1") -> list[Kind]:
        """All events of an entry as (entry state, attempt, phase, reason), up to the first (state, phase) that is
        `last`."""
        told: list[Kind] = []
        async with contextlib.aclosing(self.watch()) as events:  # type: ignore[type-var]
            async for event in events:
                if event.entry_id != entry_id:
                    continue
                told.append(_told(event))
                if not last or (told[-1][0], told[-1][2]) == last[:2]:
                    return told
        return told

    async def listed(self, agent_id: str) -> agents.Agent:
        """An agent as operators see it."""
        response = await self.agents_stub.GetAgent(agents.GetAgentRequest(agent_id=agent_id))
        agent: agents.Agent = response.agent
        return agent


def _told(event: queues.EntryEvent) -> Kind:
    state = queues.EntryState.Name(event.entry_state).removeprefix("ENTRY_STATE_")
    phase = types.AttemptPhase.Name(event.phase).removeprefix("ATTEMPT_PHASE_")
    reason = ""
    if event.HasField("reason"):
        from google.rpc import error_details_pb2

        info = error_details_pb2.ErrorInfo()
        reason = info.reason if event.reason.details and event.reason.details[0].Unpack(info) else event.reason.message
    return state, event.attempt, phase, reason


Open = Callable[..., AbstractAsyncContextManager[House]]


@pytest.fixture
def open_house(tmp_path: Path) -> Open:
    """Opens a queue service on this test's folder, with other numbers if asked; opened again, it is the same broker
    after a restart."""
    clock = FakeClock()

    @contextlib.asynccontextmanager
    async def open_it(**numbers: Any) -> AsyncGenerator[House]:
        async def build_it(settings: Settings, time: Clock, ids: Ids) -> Service:
            return await build(settings, time, ids, Numbers(**numbers))

        async with running(build_it, tmp_path, service="queue", clock=clock) as service:
            house = House(service, clock)
            found = await house.stub.GetQueue(queues.GetQueueRequest(display_name="default"))
            house.queue_id = found.queue.id
            try:
                yield house
            finally:
                await house.close()

    return open_it


@pytest.fixture
async def house(open_house: Open) -> AsyncGenerator[House]:
    """A queue service with a clock that stands still."""
    async with open_house() as opened:
        yield opened


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Any]:
    """A store of each kind, which must all keep the same promises."""
    if request.param == "memory":
        yield MemoryTransactor()
        return
    clock = FakeClock()
    on_file = request.param == "sqlite"
    url = sqlite_url(tmp_path / "queue.db") if on_file else request.getfixturevalue("new_database")()
    database = Database(url, metadata, clock)
    migrate(database.engine, MIGRATIONS)
    yield SqlTransactor[QueueStore](database, lambda connection: SqlStore(connection, clock))
    await database.close()
