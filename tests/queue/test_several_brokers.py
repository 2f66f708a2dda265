"""Several brokers on one database: work flows between them, each agent has one, and a dead one is replaced.

Two or three services in one event loop share an SQLite file, which the real thing forbids to processes; what is tried
here knows nothing of that. `tests/chaos` has real processes on PostgreSQL.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from batuta_chassis.database import sqlite_url
from batuta_chassis.service import Service
from batuta_chassis.settings import Settings
from batuta_chassis.testing import Exchange, ExchangeBus, running
from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types
from batuta_queue.__main__ import build
from batuta_queue.numbers import Numbers
from batuta_rpc.clock import Clock
from batuta_rpc.errors import AgentNameTaken, AgentOnline, QueueNameTaken, QueueNotFound, ShuttingDown
from batuta_rpc.ids import Ids
from batuta_rpc.testing import FakeClock, settle

from .conftest import House

FAST = types.RetryPolicy(lease_policy=types.LEASE_POLICY_FAST)
DEAD = 14.0
"""Seconds after which a broker that does nothing is replaced."""


@dataclass
class Brokers:
    """Brokers on one database, each seen through a house of its own."""

    folder: Path
    stack: AsyncExitStack
    clock: FakeClock = field(default_factory=FakeClock)
    exchange: Exchange = field(default_factory=Exchange)
    houses: list[House] = field(default_factory=list[House])

    async def open(self, name: str, **numbers: Any) -> House:
        """One more broker."""
        bus = self.exchange.bus()
        house = await self.stack.enter_async_context(self._house(name, bus, numbers))
        self.houses.append(house)
        return house

    async def pass_time(self, seconds: float) -> None:
        """Move time in small steps, with a look into the database at each, so that whoever works there keeps up."""
        for _ in range(round(seconds * 2)):
            await self.clock.run_for(0.5)
            for house in self.houses * 2:
                with contextlib.suppress(QueueNameTaken):  # a write, after those that its broker has begun
                    await house.stub.CreateQueue(queues.CreateQueueRequest(display_name="default"))
                await house.stub.GetQueue(queues.GetQueueRequest(display_name="default"))

    async def end(self, house: House) -> None:
        """Let a broker go down in order."""
        self.houses.remove(house)
        await house.service.process.stop(grace=0)

    @contextlib.asynccontextmanager
    async def _house(self, name: str, bus: ExchangeBus, numbers: dict[str, Any]) -> AsyncGenerator[House]:
        async def build_it(settings: Settings, time: Clock, ids: Ids) -> Service:
            return await build(settings, time, ids, Numbers(**numbers), bus)

        url, keys = sqlite_url(self.folder / "queue.db"), self.folder / "keys"
        place = self.folder / name
        async with running(
            build_it, place, service="queue", clock=self.clock, database_url=url, keys_dir=keys
        ) as service:
            house = House(service, self.clock)
            found = await house.stub.GetQueue(queues.GetQueueRequest(display_name="default"))
            house.queue_id = found.queue.id
            try:
                yield house
            finally:
                await house.close()


@pytest.fixture
async def brokers(tmp_path: Path) -> AsyncGenerator[Brokers]:
    """Opens brokers; all are closed at the end."""
    async with AsyncExitStack() as stack:
        yield Brokers(tmp_path, stack)


async def freeze(house: House) -> None:
    """Stop everything that a broker does by itself, as SIGKILL or SIGSTOP do, and cut its agents."""
    await house.service.process._background.stop()


async def shown_names(house: House) -> list[str]:
    return list((await house.listed("agent-1")).queue_names)


async def change(house: House, queue_id: str, name: str) -> None:
    request = queues.UpdateQueueRequest(queue=queues.Queue(id=queue_id, display_name=name))
    request.update_mask.paths.append("display_name")
    await queues.QueueServiceStub(house.channel("member")).UpdateQueue(request)


async def remove(house: House, queue_id: str) -> None:
    await queues.QueueServiceStub(house.channel("member")).DeleteQueue(queues.DeleteQueueRequest(queue_id=queue_id))


async def test_a_queue_renamed_or_deleted_at_one_broker_is_so_at_the_others_at_once(brokers: Brokers) -> None:
    one, two = await brokers.open("one"), await brokers.open("two")
    await two.agent().connect()
    assert await shown_names(two) == ["default"]
    await change(one, one.queue_id, "gpu")
    assert await shown_names(two) == ["gpu"]
    await remove(one, one.queue_id)
    assert await shown_names(two) == [""]
    with pytest.raises(QueueNotFound):
        await two.submit("e1")


async def test_without_a_bus_a_new_name_takes_a_second_and_a_deleted_queue_takes_nothing_in(brokers: Brokers) -> None:
    brokers.exchange.cut = True
    one, two = await brokers.open("one"), await brokers.open("two")
    await two.agent().connect()
    assert await shown_names(two) == ["default"]
    await change(one, one.queue_id, "gpu")
    brokers.clock.advance(1.1)
    assert await shown_names(two) == ["gpu"]
    await remove(one, one.queue_id)
    with pytest.raises(QueueNotFound):
        await two.submit("e1")
    moved, member = queues.MoveEntryRequest(entry_id="e2", queue_id=one.queue_id), two.channel("member")
    services = (await one.stub.GetQueue(queues.GetQueueRequest(display_name="services"))).queue.id
    await two.submit("e2", queue_id=services)
    with pytest.raises(QueueNotFound):
        await queues.QueueServiceStub(member).MoveEntry(moved)


async def test_what_is_submitted_at_one_broker_is_offered_by_another(brokers: Brokers) -> None:
    one, two = await brokers.open("one"), await brokers.open("two")
    agent = two.agent()
    await agent.connect()
    await one.submit("e1")
    assignment = await agent.next("assignment")
    await agent.accept(assignment)
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_SUCCEEDED)
    assert (await one.story("DONE", "SUCCEEDED"))[-1][:3] == ("DONE", 1, "SUCCEEDED")


async def test_without_a_bus_the_same_takes_a_second(brokers: Brokers) -> None:
    brokers.exchange.cut = True
    one, two = await brokers.open("one"), await brokers.open("two")
    agent = two.agent()
    await agent.connect()
    await one.submit("e1")
    await brokers.pass_time(1.5)
    await agent.next("assignment")


async def test_an_abort_at_one_broker_reaches_the_agent_of_another(brokers: Brokers) -> None:
    one, two = await brokers.open("one"), await brokers.open("two")
    agent = two.agent()
    await agent.connect()
    assignment = await two.running_task(agent)
    await one.withdraw("e1")
    cancel = await agent.next("cancel")
    assert cancel.ref == assignment.ref


async def test_without_a_bus_an_abort_takes_a_second(brokers: Brokers) -> None:
    brokers.exchange.cut = True
    one, two = await brokers.open("one"), await brokers.open("two")
    agent = two.agent()
    await agent.connect()
    await two.running_task(agent)
    await one.withdraw("e1")
    await brokers.pass_time(1.5)
    await agent.next("cancel")


async def test_an_agent_that_goes_to_another_broker_keeps_its_work_and_loses_its_old_stream(brokers: Brokers) -> None:
    one, two = await brokers.open("one"), await brokers.open("two")
    first = one.agent()
    await first.connect()
    assignment = await one.running_task(first)
    again = two.agent()
    again.held, again.report_number = dict(first.held), first.report_number
    welcome = await again.connect(instance_id="instance-2")
    assert [each.ref for each in welcome.expected] == [assignment.ref]
    ended = await first.end()
    assert ended is not None
    assert ended.reason == "SESSION_SUPERSEDED"
    assert not (await again.beat()).lost
    await brokers.pass_time(5)
    assert not (await again.beat()).lost
    await again.report(assignment.ref, types.ATTEMPT_PHASE_SUCCEEDED)
    assert [kind[2] for kind in await one.story("DONE", "SUCCEEDED")].count("LOST") == 0


async def test_the_name_of_an_agent_at_another_broker_is_taken(brokers: Brokers) -> None:
    one, two = await brokers.open("one"), await brokers.open("two")
    await one.agent("gpu:0").connect()
    with pytest.raises(AgentNameTaken, match="host-of-gpu:0"):
        await two.agent("gpu:0", journal_id="another").connect()


async def test_agents_look_the_same_from_every_broker(brokers: Brokers) -> None:
    one, two = await brokers.open("one"), await brokers.open("two")
    agent = two.agent()
    await agent.connect()
    await two.running_task(agent)
    sample = agents.TelemetrySample(time_unix_millis=7)
    await agent.send(agents.SessionRequest(telemetry=agents.Telemetry(sample=sample)))
    await agent.beat()
    await brokers.pass_time(6)
    await agent.beat()
    for house in (one, two):
        seen = await house.listed("agent-1")
        assert seen.state == agents.AGENT_STATE_ONLINE
        assert [each.task_id for each in seen.assignments] == ["task-of-e1"]
        assert seen.telemetry.time_unix_millis == 7
        queue = (await house.stub.GetQueue(queues.GetQueueRequest(display_name="default"))).queue
        assert queue.status.agent_count == 1
    agent.cut()
    await settle()
    await brokers.pass_time(1)
    assert (await one.listed("agent-1")).state == agents.AGENT_STATE_OFFLINE


async def test_an_operator_may_speak_to_any_broker(brokers: Brokers) -> None:
    one, two = await brokers.open("one"), await brokers.open("two")
    agent = two.agent()
    await agent.connect(capabilities=["drain"])
    with pytest.raises(AgentOnline):
        await one.agents_stub.DeclareAgentLost(agents.DeclareAgentLostRequest(agent_id="agent-1"))
    await one.agents_stub.DrainAgent(agents.DrainAgentRequest(agent_id="agent-1", reason="repair"))
    assert (await agent.next("drain")).reason == "repair"
    await one.agents_stub.UndrainAgent(agents.UndrainAgentRequest(agent_id="agent-1"))
    await agent.next("undrain")


async def test_the_work_of_a_dead_broker_is_answered_for_by_another(brokers: Brokers) -> None:
    one, two = await brokers.open("one"), await brokers.open("two")
    agent = two.agent(max_assignments=2)
    await agent.connect()
    assignment = await two.running_task(agent, "e1", retry=FAST)
    await two.submit("offered")
    await agent.next("assignment")
    await freeze(two)
    agent.cut()
    other = one.agent("agent-2", max_assignments=1)
    await other.connect()
    await brokers.pass_time(DEAD)
    # The offer that nobody can answer goes to another agent at once, the lease begins anew.
    assert (await other.next("assignment")).ref.task_id == "task-of-offered"
    again = one.agent()
    again.held, again.report_number = dict(agent.held), agent.report_number
    again.held.pop(("task-of-offered", 1), None)
    welcome = await again.connect()
    assert [each.ref for each in welcome.expected] == [assignment.ref]


async def test_a_lease_of_a_dead_broker_gets_a_full_term_and_then_ends(brokers: Brokers) -> None:
    one, two = await brokers.open("one"), await brokers.open("two")
    agent = two.agent()
    await agent.connect()
    await two.running_task(agent, "e1", retry=FAST)
    await freeze(two)
    agent.cut()
    await brokers.pass_time(DEAD + 50)
    entries = await one.stub.BatchGetEntries(queues.BatchGetEntriesRequest(entry_ids=["e1"]))
    assert entries.events[0].entry_state == queues.ENTRY_STATE_RUNNING
    await brokers.pass_time(30)
    told = await one.story("WAITING", "LOST")
    assert told[-1][3] == "LEASE_EXPIRED"


async def test_a_broker_that_was_taken_for_dead_writes_nothing_and_begins_anew(brokers: Brokers) -> None:
    one, two = await brokers.open("one"), await brokers.open("two")
    agent = two.agent()
    await agent.connect()
    await two.running_task(agent)
    background = two.service.process._background
    await background.stop()
    await brokers.pass_time(DEAD)
    with pytest.raises(ShuttingDown, match="taken for dead"):
        await two.submit("late")
    # Not prolonged: whoever answers for the agent by now gives its lease away without hearing of this.
    await agent.send(agents.SessionRequest(heartbeat=agents.Heartbeat(heartbeat_number=1, free_assignments=0)))
    assert (await agent.next("heartbeat_ack")).heartbeat_number == 0
    assert two.service.process._service is not None
    background.start(two.service.process._service.background)
    await brokers.pass_time(3)
    await agent.next("disconnect")
    again = two.agent()
    again.held, again.report_number = dict(agent.held), agent.report_number
    welcome = await again.connect()
    assert len(welcome.expected) == 1
    await one.submit("more")
    await two.submit("still more")


async def test_a_broker_that_goes_down_in_order_is_replaced_without_waiting(brokers: Brokers) -> None:
    one, two = await brokers.open("one"), await brokers.open("two")
    agent = two.agent()
    await agent.connect()
    await two.running_task(agent, "e1")
    await brokers.end(two)
    await brokers.pass_time(3)
    again = one.agent()
    again.held, again.report_number = dict(agent.held), agent.report_number
    assert len((await again.connect()).expected) == 1
