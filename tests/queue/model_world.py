"""For the state machine: everything together, with one virtual time."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

from batuta_proto.agents.v1 import AssignmentReport
from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types
from batuta_queue.convert_session import ref_of
from batuta_queue.model import AttemptPhase, Entry, LeasePolicy, Ref
from batuta_queue.testing_agent import submit_request
from batuta_rpc.errors import RpcError, StorageFailed
from batuta_rpc.testing import FakeClock

from .model_agent import Execution, ModelAgent
from .model_broker import BrokerProcess, Loop, Pipe
from .model_store import Rows

ALL = 1_000
_PLACES = (1, 2, 1)


@dataclass
class Wanted:
    """One entry as its submitter knows it."""

    request: queues.SubmitEntryRequest
    stored: bool = False
    """The broker has said so."""
    withdraw: queues.WithdrawEntryRequest | None = None
    withdrawn: bool = False
    """The broker has said that it knows that this is to stop."""


class Faults(logging.Handler):
    """Catches what the broker logs with a traceback: a fault that nobody injected is one."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and not isinstance(record.exc_info[1], StorageFailed):
            self.found.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


@dataclass
class World:
    """Agents, brokers one after the other, the network, and who submits."""

    rows: Rows
    clock: FakeClock = field(default_factory=FakeClock)
    loop: Loop = field(default_factory=Loop)
    agents: list[ModelAgent] = field(default_factory=list[ModelAgent])
    pipes: list[Pipe] = field(default_factory=list[Pipe])
    dark: set[str] = field(default_factory=set[str])
    """Agents whose messages and connections get nowhere, without anybody being told."""
    down: set[str] = field(default_factory=set[str])
    """Agents that cannot reach the broker, and are told so."""
    wanted: dict[str, Wanted] = field(default_factory=dict[str, Wanted])
    started: list[Execution] = field(default_factory=list[Execution])
    gone_journals: set[str] = field(default_factory=set[str])
    broker: BrokerProcess | None = None
    clashed: set[str] = field(default_factory=set[str])
    """Agents whose name another machine has used."""
    lives: int = 0
    calls: list[asyncio.Task[Any]] = field(default_factory=list[asyncio.Task[Any]])

    def __post_init__(self) -> None:
        """Start the broker, and let the agents come."""
        self.faults = Faults()
        logging.getLogger().addHandler(self.faults)
        self.start_broker()
        first, second = self.queue_id("default"), self.queue_id("services")
        for number, places in enumerate(_PLACES):
            serves = [first, second] if number == 1 else [first]
            agent = ModelAgent(f"agent-{number}", serves, places, self.clock, self._started, self._acknowledged)
            agent.eager = number != 2
            self.agents.append(agent)

    def close(self) -> None:
        """Leave nothing."""
        logging.getLogger().removeHandler(self.faults)
        self.loop.close()

    def queue_id(self, name: str) -> str:
        """The id of a queue."""
        queue = self.rows.look(lambda store: store.queue_by_name(name))
        assert queue is not None
        return queue.id

    # the broker

    def start_broker(self) -> None:
        """Start a broker over the rows, unless one lives."""
        if self.broker is None:
            self.lives += 1
            self.broker = BrokerProcess(self.rows, self.loop, self.clock, self.lives)
            self.rest()

    def kill_broker(self) -> None:
        """Kill it. Everybody sees the connections break, except who is in the dark."""
        if self.broker is None:
            return
        broker, self.broker = self.broker, None
        broker.kill()
        self.calls = []
        for pipe in self.pipes:
            if pipe.agent_id not in self.dark:
                self._break(pipe)
        self.pipes = []

    def stop_broker(self) -> None:
        """Stop it in order: what it says before it goes arrives."""
        if self.broker is not None and self.broker.started:
            self.broker.stop_in_order()
            self.deliver_everything()
            self.kill_broker()

    def rest(self) -> None:
        """Run the loop dry; bury a broker that died of a fault."""
        self.loop.rest()
        if self.broker is not None and self.broker.transactor.dead:
            self.kill_broker()
        for call in [call for call in self.calls if call.done()]:
            self.calls.remove(call)
            error = call.exception()
            assert error is None or isinstance(error, RpcError), error

    # the network

    def connect(self, agent: ModelAgent) -> None:
        """Let an agent dial."""
        if not agent.alive or agent.pipe is not None:
            return
        if agent.id in self.down or (self.broker is None and agent.id not in self.dark):
            agent.next_try = self.clock.boottime() + 2.0
            return
        pipe = agent.connect()
        if agent.id in self.dark or self.broker is None:
            return  # it waits for an answer that cannot come
        self.pipes.append(pipe)
        pipe.open(self.broker)
        self.rest()

    def cut(self, agent: ModelAgent, *, agent_sees: bool, broker_sees: bool) -> None:
        """Break an agent's connection. A side that does not see it yet goes on with its end."""
        pipe = agent.pipe
        if pipe is None:
            return
        if agent_sees:
            agent.disconnect(0.1)
        if broker_sees:
            pipe.cut()
            if agent_sees:
                self.pipes = [each for each in self.pipes if each is not pipe]
        self.rest()

    def carry_up(self, pipe: Pipe, count: int) -> int:
        """Let messages arrive at the broker."""
        if pipe.agent_id in self.dark or self.broker is None:
            return 0
        moved = pipe.carry_up(count)
        self.rest()
        return moved

    def carry_down(self, agent: ModelAgent, count: int) -> int:
        """Let messages arrive at an agent."""
        if agent.id in self.dark or not agent.alive:
            return 0
        moved = agent.read(count)
        self.rest()
        return moved

    def deliver_everything(self) -> None:
        """Let everything arrive that can, until nobody has anything to say."""
        for _ in range(200):
            self.rest()
            moved = 0
            for pipe in list(self.pipes):
                moved += self.carry_up(pipe, ALL)
            for agent in self.agents:
                moved += self.carry_down(agent, ALL)
            if not moved:
                self._bury_pipes()
                return
        raise AssertionError("agents and broker never stop talking")

    # who submits

    def submit(self, entry_id: str, queue_id: str, task_id: str, policy: LeasePolicy, priority: int) -> None:
        """Ask for an entry; asked again until the broker has answered."""
        retry = types.RetryPolicy(lease_policy=int(policy))  # type: ignore[arg-type]
        request = submit_request(entry_id, queue_id, task_id=task_id, priority=priority, retry=retry)
        self.wanted[entry_id] = Wanted(request)
        self.send_submit(entry_id)

    def send_submit(self, entry_id: str) -> None:
        """Send a submit, maybe again."""
        if self.broker is not None:
            wanted = self.wanted[entry_id]

            async def call(broker: BrokerProcess) -> None:
                await broker.broker.submitter.submit(wanted.request)
                wanted.stored = True

            self._call(call(self.broker))

    def withdraw(self, entry_id: str, grace: float) -> None:
        """Ask for the end of an entry; asked again until the broker has answered."""
        request = queues.WithdrawEntryRequest(entry_id=entry_id)
        request.grace.FromNanoseconds(int(grace * 1e9))
        self.wanted[entry_id].withdraw = request
        self.send_withdraw(entry_id)

    def operate(self, agent: ModelAgent, what: str) -> None:
        """What an operator does, who is never wrong: declared lost is only what is not there any more."""
        if self.broker is None:
            return
        operators = self.broker.broker.oversight.operators
        if what == "declare lost":
            # A process that is only away may still start what it was permitted to.
            if not agent.alive and not any(each is agent for each, _ in self.running()):
                self._call(operators.declare_lost(agent.id, "", explained=True))
        elif what == "undrain":
            self._call(operators.undrain(agent.id))
        else:
            deadline = self.clock.unix_millis() if what == "drain now" else None
            self._call(operators.drain(agent.id, "", deadline))

    def release(self, entry_id: str) -> None:
        """Somebody has looked at a held entry."""
        if self.broker is not None:
            self._call(self.broker.broker.submitter.release(entry_id))

    def send_withdraw(self, entry_id: str) -> None:
        """Send a withdrawal, maybe again."""
        wanted = self.wanted[entry_id]
        request = wanted.withdraw
        if self.broker is not None and request is not None:

            async def call(broker: BrokerProcess) -> None:
                await broker.broker.submitter.withdraw(request)
                wanted.withdrawn = True

            self._call(call(self.broker))

    # time

    def tick(self, seconds: float, *, outage: bool = False) -> None:
        """Let time go by with everybody awake, in steps too short to look like a stall. A broker that is gone comes
        back, unless this is an outage."""
        if not outage:
            self.start_broker()
        step = 1.0 if seconds <= 20 else 5.0
        end = self.clock.boottime() + seconds
        while (left := end - self.clock.boottime()) > 1e-6:
            self.clock.advance(min(step, left))
            self.everybody_acts()

    def stall(self, seconds: float) -> None:
        """The broker's process stands still, and time does not."""
        self.clock.advance(seconds)
        for agent in self.agents:
            agent.age()
        self.rest()
        self.everybody_acts()

    def everybody_acts(self) -> None:
        """One round of what each does by itself."""
        for agent in self.agents:
            agent.age()
        self.rest()
        if self.broker is not None and self.broker.started and not self.broker.transactor.held:
            self._ask_again()
        for agent in self.agents:
            agent.tick()
            if agent.pipe is None and agent.alive and self.clock.boottime() >= agent.next_try:
                self.connect(agent)
        self.deliver_everything()
        for pipe in self.pipes:
            if pipe.abandoned and pipe.agent_id not in self.dark and not pipe.up:
                pipe.cut()
        self.rest()

    def name_clash(self, agent: ModelAgent) -> None:
        """Another machine, with a state folder of its own, says for a moment that it is `agent`."""
        if self.broker is None:
            return
        self.clashed.add(agent.id)
        other = ModelAgent(agent.id, agent.queue_ids, agent.places, self.clock, lambda _: None, lambda *_: None)
        pipe = other.connect(journal_id="another-journal", instance_id="another-instance")
        pipe.open(self.broker)
        pipe.carry_up(1)
        self.rest()
        pipe.cut()
        self.rest()

    def heal(self) -> None:
        """Everything works again."""
        self.dark.clear()
        self.down.clear()
        self.start_broker()
        assert self.broker is not None
        self.broker.transactor.fault = ""
        self.broker.transactor.release()
        self.rest()
        for agent in self.agents:
            if not agent.alive and (not agent.superseded or agent.id in self.clashed):
                agent.live()
            self.operate(agent, "undrain")

    # what is true

    def entries(self) -> dict[str, Entry]:
        """Stored entries of those that were asked for."""
        found = {each: self.rows.look(lambda store, each=each: store.entry(each)) for each in self.wanted}  # type: ignore[misc]
        return {each: entry for each, entry in found.items() if entry is not None}

    def running(self) -> list[tuple[ModelAgent, Execution]]:
        """User's processes that live."""
        return [
            (agent, execution)
            for agent in self.agents
            for execution in agent.executions.values()
            if execution.ended is None
        ]

    def _ask_again(self) -> None:
        if self.calls:
            return
        for entry_id, wanted in self.wanted.items():
            if not wanted.stored:
                self.send_submit(entry_id)
            if wanted.withdraw is not None and not wanted.withdrawn:
                self.send_withdraw(entry_id)

    def _call(self, call: Any) -> None:
        self.calls.append(self.loop.loop.create_task(call))
        self.rest()

    def _started(self, execution: Execution) -> None:
        for agent in self.agents:
            agent.age()
        for agent, other in self.running():
            assert other is execution or other.ref.task_id != execution.ref.task_id, (
                f"{execution.ref} starts while {other.ref} still runs on {agent.id}"
            )
        assert all(each.ref != execution.ref for each in self.started), f"{execution.ref} starts a second time"
        self.started.append(execution)

    def _acknowledged(self, agent: ModelAgent, report: AssignmentReport) -> None:
        found = self.rows.look(lambda store: store.attempt(ref_of(report.ref)))
        if found is not None and found[1].holder.journal_id == agent.journal_id:
            known, said = found[1].phase, AttemptPhase(report.phase)
            assert known >= said or known.ended, f"{report.ref} was acknowledged as {said!r} and is stored as {known!r}"

    def _break(self, pipe: Pipe) -> None:
        for agent in self.agents:
            if agent.pipe is pipe:
                agent.disconnect(0.1)

    def _bury_pipes(self) -> None:
        self.pipes = [pipe for pipe in self.pipes if pipe.served or not self._read_up(pipe)]

    def _read_up(self, pipe: Pipe) -> bool:
        return all(agent.pipe is not pipe for agent in self.agents) or not pipe.down


def open_refs(rows: Rows) -> dict[Ref, AttemptPhase]:
    """Attempts that have not ended."""
    return {attempt.ref: attempt.phase for _, attempt in rows.look(lambda store: store.open_attempts())}
