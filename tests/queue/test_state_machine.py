"""A broker, its agents and its submitters under every kind of trouble, in virtual time, against what must always hold.

The broker is the real one, over a store in memory and over SQLite; agents are models of the real one
(`model_agent`). Nothing but the machine moves: neither messages, nor time, nor commits.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from batuta_queue.model import AttemptPhase, EntryState, LeasePolicy
from batuta_rpc.testing import FakeClock

from .model_agent import ModelAgent
from .model_checks import Checks
from .model_store import MemoryRows, Rows, SqliteRows
from .model_world import World

_ENTRIES = 8
_SHORT = st.sampled_from([0.5, 2.0, 6.0, 12.0])
_LONG = st.sampled_from([30.0, 70.0, 70.0, 400.0, 1900.0])
_AGENT = st.integers(0, 2)
_FEW = st.integers(1, 3)
_PICK = st.integers(0, _ENTRIES - 1)
_ENDS = st.sampled_from(
    [
        (AttemptPhase.SUCCEEDED, ""),
        (AttemptPhase.FAILED, "EXIT_CODE"),
        (AttemptPhase.FAILED, "SHIM_LOST"),
        (AttemptPhase.FAILED, "ENVIRONMENT_INFRASTRUCTURE"),
    ]
)
_PATIENCE = 5_400.0
"""Virtual seconds within which everything must have ended once all trouble is over."""


class UnderFire(RuleBasedStateMachine):
    """The rules are what can happen; the invariants are `Checks`."""

    def rows(self, clock: FakeClock) -> Rows:
        """What the brokers work on."""
        raise NotImplementedError

    @initialize(connected=st.integers(0, 3))
    def begin(self, connected: int) -> None:
        """So many agents are connected at first."""
        clock = FakeClock()
        self.world = World(self.rows(clock), clock)
        self.checks = Checks()
        for agent in self.world.agents[:connected]:
            self.world.connect(agent)
        self.world.deliver_everything()

    # submitters

    @precondition(lambda self: len(self.world.wanted) < _ENTRIES)
    @rule(
        priority=st.integers(0, 1),
        policy=st.sampled_from([LeasePolicy.FAST, LeasePolicy.FAST, LeasePolicy.STRICT, LeasePolicy.KEEP]),
        services=st.booleans(),
    )
    def submit(self, priority: int, policy: LeasePolicy, services: bool) -> None:
        """A new task."""
        number = len(self.world.wanted)
        queue_id = self.world.queue_id("services" if services else "default")
        self.world.submit(f"e{number}", queue_id, f"t{number}", policy, priority)

    @precondition(lambda self: len(self.world.wanted) < _ENTRIES)
    @rule(pick=_PICK)
    def submit_a_task_again(self, pick: int) -> None:
        """A task whose entry has ended comes in a new entry."""
        current = {wanted.request.envelope.task_id: each for each, wanted in self.world.wanted.items()}
        entries = self.world.entries()
        ended = [task for task, each in current.items() if each in entries and entries[each].state.ended]
        if ended:
            task_id, number = ended[pick % len(ended)], len(self.world.wanted)
            self.world.submit(f"e{number}", self.world.queue_id("default"), task_id, LeasePolicy.FAST, 0)

    @precondition(lambda self: self.world.wanted)
    @rule(pick=_PICK)
    def repeat_a_submit(self, pick: int) -> None:
        """Its answer was lost, or so the submitter thinks."""
        self.world.send_submit(self._entry(pick))

    @precondition(lambda self: self.world.wanted)
    @rule(pick=_PICK, grace=st.sampled_from([0.0, 5.0, 30.0]))
    def withdraw(self, pick: int, grace: float) -> None:
        """Somebody wants it stopped."""
        self.world.withdraw(self._entry(pick), grace)

    # the network

    @rule(number=_AGENT)
    def connect(self, number: int) -> None:
        """An agent dials."""
        self.world.connect(self._agent(number))

    @rule(number=_AGENT, count=_FEW)
    def carry_up(self, number: int, count: int) -> None:
        """A few messages of an agent arrive, those of its oldest stream first."""
        mine = [pipe for pipe in self.world.pipes if pipe.agent_id == self._agent(number).id and pipe.up]
        if mine:
            self.world.carry_up(mine[0], count)

    @rule(number=_AGENT, count=_FEW)
    def carry_up_newest(self, number: int, count: int) -> None:
        """A few messages of an agent arrive, those of its newest stream first."""
        mine = [pipe for pipe in self.world.pipes if pipe.agent_id == self._agent(number).id and pipe.up]
        if mine:
            self.world.carry_up(mine[-1], count)

    @rule(number=_AGENT, count=_FEW)
    def carry_down(self, number: int, count: int) -> None:
        """A few messages arrive at an agent."""
        self.world.carry_down(self._agent(number), count)

    @rule()
    def deliver_everything(self) -> None:
        """The network is quick for a moment."""
        self.world.deliver_everything()

    @rule(number=_AGENT, side=st.sampled_from(["both", "agent", "broker"]))
    def cut(self, number: int, side: str) -> None:
        """A connection breaks; maybe one side does not notice."""
        self.world.cut(self._agent(number), agent_sees=side != "broker", broker_sees=side != "agent")

    @rule(number=_AGENT, silent=st.booleans())
    def lose_the_network(self, number: int, silent: bool) -> None:
        """An agent cannot reach the broker: nothing passes and nobody is told, or connections are refused."""
        agent = self._agent(number)
        if silent:
            self.world.dark.add(agent.id)
        else:
            self.world.down.add(agent.id)
            self.world.cut(agent, agent_sees=True, broker_sees=True)

    @rule(number=_AGENT)
    def find_the_network(self, number: int) -> None:
        """And now it can."""
        self.world.dark.discard(self._agent(number).id)
        self.world.down.discard(self._agent(number).id)

    @rule(number=_AGENT)
    def name_clash(self, number: int) -> None:
        """Another machine, with a state folder of its own, says that it is this agent."""
        agent, world = self._agent(number), self.world
        if world.broker is None:
            return
        other = ModelAgent(agent.id, agent.queue_ids, agent.places, world.clock, lambda _: None, lambda *_: None)
        pipe = other.connect(journal_id="another-journal", instance_id="another-instance", resume_session_id="")
        pipe.open(world.broker)
        world.rest()
        pipe.carry_up(1)
        world.rest()
        pipe.cut()
        world.rest()

    # machines

    @rule(number=_AGENT)
    def beat(self, number: int) -> None:
        """A heartbeat out of turn: a place has become free."""
        self._agent(number).beat()

    @rule(number=_AGENT, pick=_PICK)
    def repeat_a_report(self, number: int, pick: int) -> None:
        """A report comes twice."""
        self._agent(number).repeat(pick)

    @rule(pick=_PICK, end=_ENDS)
    def finish(self, pick: int, end: tuple[AttemptPhase, str]) -> None:
        """A user's process ends."""
        running = self.world.running()
        if running:
            agent, execution = running[pick % len(running)]
            note(f"{execution.ref} on {agent.id}: {end}")
            execution.end(*end)
            if agent.alive:
                agent.notice()

    @rule(number=_AGENT)
    def kill_the_agent(self, number: int) -> None:
        """Its process is gone; the user's processes go on."""
        agent = self._agent(number)
        self.world.cut(agent, agent_sees=True, broker_sees=True)
        agent.die()

    @rule(number=_AGENT)
    def restart_the_agent(self, number: int) -> None:
        """A new process on the same journal; whether the broker has seen the end of the old one is left open."""
        agent = self._agent(number)
        agent.die()
        agent.live()
        self.world.connect(agent)

    @rule(number=_AGENT)
    def reboot(self, number: int) -> None:
        """The host starts again."""
        self._agent(number).reboot()

    @rule(number=_AGENT)
    def replace_the_machine(self, number: int) -> None:
        """The disk is gone: the same name comes back with an empty journal."""
        agent = self._agent(number)
        self.world.gone_journals.add(agent.journal_id)
        agent.replace_machine()

    @rule(number=_AGENT, keep=st.booleans())
    def goodbye(self, number: int, keep: bool) -> None:
        """An agent leaves in order."""
        agent = self._agent(number)
        if agent.alive:
            agent.goodbye(keep=keep)

    # the broker

    @rule()
    def kill_the_broker(self) -> None:
        """As by SIGKILL."""
        self.world.kill_broker()

    @rule()
    def stop_the_broker(self) -> None:
        """As by SIGTERM."""
        self.world.stop_broker()

    @rule()
    def start_the_broker(self) -> None:
        """A new process over what is stored."""
        self.world.start_broker()

    @precondition(lambda self: self.world.broker is not None)
    @rule(fault=st.sampled_from(["fail", "crash before", "crash after"]))
    def break_the_next_commit(self, fault: str) -> None:
        """Fail it, or die just before or just after it."""
        assert self.world.broker is not None
        self.world.broker.transactor.fault = fault

    @precondition(lambda self: self.world.broker is not None)
    @rule()
    def hold_the_writer(self) -> None:
        """The disk takes its time: use cases wait, and will be committed together."""
        assert self.world.broker is not None
        self.world.broker.transactor.held = True

    @precondition(lambda self: self.world.broker is not None)
    @rule()
    def release_the_writer(self) -> None:
        """The disk goes on."""
        assert self.world.broker is not None
        self.world.broker.transactor.release()
        self.world.rest()

    # time

    @rule(seconds=_SHORT)
    def tick(self, seconds: float) -> None:
        """A little time, everybody awake."""
        self.world.tick(seconds)

    @rule(seconds=_LONG)
    def long_tick(self, seconds: float) -> None:
        """Much time: leases of whoever cannot be heard run out."""
        self.world.tick(seconds)

    @rule(seconds=_LONG)
    def stall(self, seconds: float) -> None:
        """The broker's process stands still for a while."""
        self.world.stall(seconds)

    @invariant()
    def everything_holds(self) -> None:
        """Look at everything."""
        if hasattr(self, "world"):
            self.world.rest()
            self.checks.all(self.world)

    def teardown(self) -> None:
        """All trouble is over: everything that was asked for comes to its end."""
        if not hasattr(self, "world"):
            return
        try:
            self._come_to_an_end()
        finally:
            self.world.close()

    def _come_to_an_end(self) -> None:
        world, started = self.world, self.world.clock.boottime()
        while unfinished := self._unfinished():
            assert world.clock.boottime() - started < _PATIENCE, f"never ended: {unfinished}"
            world.heal()
            for agent, execution in world.running():
                execution.end(AttemptPhase.SUCCEEDED)
                agent.notice()
            world.tick(25.0)
            self.everything_holds()
        superseded = [agent.id for agent in world.agents if agent.superseded]
        assert not superseded, f"told to leave for ever although nobody took their place: {superseded}"

    def _unfinished(self) -> list[str]:
        entries = self.world.entries()
        left: list[str] = []
        for entry_id, wanted in self.world.wanted.items():
            entry = entries.get(entry_id)
            if entry is None or not wanted.stored or (wanted.withdraw is not None and not wanted.withdrawn):
                left.append(f"{entry_id} is not answered: {wanted}")
            elif entry.state is EntryState.HELD:
                assert entry.hold_reason, entry
            elif not entry.state.ended and not self._lost_for_ever(entry_id):
                left.append(repr(entry))
        return left

    def _lost_for_ever(self, entry_id: str) -> bool:
        """Kept by a policy that never moves it, on a disk that is gone: only a person can know."""
        return any(
            entry.id == entry_id
            and entry.policy is LeasePolicy.KEEP
            and attempt.holder.journal_id in self.world.gone_journals
            for entry, attempt in self.world.rows.look(lambda store: store.open_attempts())
        )

    def _agent(self, number: int) -> ModelAgent:
        return self.world.agents[number]

    def _entry(self, pick: int) -> str:
        return list(self.world.wanted)[pick % len(self.world.wanted)]


class InMemory(UnderFire):
    """Over the store in memory."""

    def rows(self, clock: FakeClock) -> Rows:
        return MemoryRows()


class OnSqlite(UnderFire):
    """Over SQLite."""

    def rows(self, clock: FakeClock) -> Rows:
        return SqliteRows(clock)


def _run(machine: Callable[[], Any], examples: int, steps: int, *, random: bool = False) -> None:
    profile = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=not random,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    logging.disable(logging.WARNING)
    try:
        run_state_machine_as_test(machine, settings=profile)  # type: ignore[no-untyped-call]
    finally:
        logging.disable(logging.NOTSET)
    print(f"{machine.__name__}: {examples} histories of up to {steps} steps, no invariant broken")  # type: ignore[attr-defined]


def test_no_history_breaks_an_invariant() -> None:
    _run(InMemory, 60, 40)


def test_no_history_on_sqlite_breaks_an_invariant() -> None:
    _run(OnSqlite, 10, 30)


@pytest.mark.nightly
@pytest.mark.timeout(0)
@pytest.mark.parametrize("machine", [InMemory, OnSqlite])
def test_no_long_history_breaks_an_invariant(machine: Callable[[], Any]) -> None:
    _run(machine, int(os.environ.get("BATUTA_HISTORIES", "2000")), 60, random=True)
