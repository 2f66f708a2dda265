"""A broker, its agents and its submitters under every kind of trouble, in virtual time, against what must always hold.

The broker is the real one, over a store in memory and over SQLite; agents are models of the real one
(`model_agent`). Nothing but the machine moves: neither messages, nor time, nor commits.
"""

from __future__ import annotations

import logging
import os
import random

import pytest
from hypothesis import HealthCheck, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

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

    @initialize(tasks=st.integers(0, 4), connected=st.integers(0, 3), accepted=st.booleans())
    def begin(self, tasks: int, connected: int, accepted: bool) -> None:
        """So many tasks are there and so many agents come; maybe all of this has settled already."""
        clock = FakeClock()
        self.world = World(self.rows(clock), clock)
        self.checks = Checks()
        for number in range(tasks):
            policy = LeasePolicy.STRICT if number == 3 else LeasePolicy.FAST
            self.world.submit(f"e{number}", self.world.queue_id("default"), f"t{number}", policy, 0)
        for agent in self.world.agents[:connected]:
            self.world.connect(agent)
        if accepted:
            self.world.deliver_everything()

    # submitters

    @precondition(lambda self: len(self.world.wanted) < _ENTRIES)
    @rule(
        priority=st.integers(0, 1),
        policy=st.sampled_from([LeasePolicy.FAST, LeasePolicy.STRICT, LeasePolicy.KEEP]),
        queue=st.sampled_from(["default", "services"]),
    )
    def submit(self, priority: int, policy: LeasePolicy, queue: str) -> None:
        """A new task."""
        number = len(self.world.wanted)
        self.world.submit(f"e{number}", self.world.queue_id(queue), f"t{number}", policy, priority)

    @precondition(lambda self: self._ended_tasks() and len(self.world.wanted) < _ENTRIES)
    @rule(pick=_PICK)
    def submit_a_task_again(self, pick: int) -> None:
        """A task whose entry has ended comes in a new entry."""
        ended, number = self._ended_tasks(), len(self.world.wanted)
        task_id = ended[pick % len(ended)]
        self.world.submit(f"e{number}", self.world.queue_id("default"), task_id, LeasePolicy.FAST, 0)

    @precondition(lambda self: self.world.wanted)
    @rule(pick=_PICK)
    def repeat_a_submit(self, pick: int) -> None:
        """Its answer was lost, or so the submitter thinks."""
        self.world.send_submit(self._entry(pick))

    @precondition(lambda self: self.world.wanted)
    @rule(pick=_PICK, grace=st.sampled_from([0.0, 30.0]))
    def withdraw(self, pick: int, grace: float) -> None:
        """Somebody wants it stopped."""
        self.world.withdraw(self._entry(pick), grace)

    # the network

    @rule(number=_AGENT)
    def connect(self, number: int) -> None:
        """An agent dials."""
        self.world.connect(self._agent(number))

    @rule(number=_AGENT, count=_FEW, newest=st.booleans())
    def carry_up(self, number: int, count: int, newest: bool) -> None:
        """A few messages of an agent arrive, those of its oldest stream first or those of its newest."""
        mine = [pipe for pipe in self.world.pipes if pipe.agent_id == self._agent(number).id and pipe.up]
        if mine:
            self.world.carry_up(mine[-1 if newest else 0], count)

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

    @rule(number=_AGENT, how=st.sampled_from(["whole", "silent", "refused"]))
    def network(self, number: int, how: str) -> None:
        """An agent cannot reach the broker: nothing passes and nobody is told, or connections are refused."""
        agent = self._agent(number)
        self.world.dark.discard(agent.id)
        self.world.down.discard(agent.id)
        if how == "silent":
            self.world.dark.add(agent.id)
        elif how == "refused":
            self.world.down.add(agent.id)
            self.world.cut(agent, agent_sees=True, broker_sees=True)

    # machines

    @rule(number=_AGENT, what=st.sampled_from(["beat", "repeat", "clash"]), pick=_PICK)
    def odd_message(self, number: int, what: str, pick: int) -> None:
        """A heartbeat out of turn, a report a second time, or another machine that says that it is this agent."""
        agent = self._agent(number)
        if what == "beat":
            agent.beat()
        elif what == "repeat":
            agent.repeat(pick)
        else:
            self.world.name_clash(agent)

    @precondition(lambda self: self.world.running())
    @rule(pick=_PICK, end=_ENDS)
    def finish(self, pick: int, end: tuple[AttemptPhase, str]) -> None:
        """A user's process ends."""
        running = self.world.running()
        agent, execution = running[pick % len(running)]
        note(f"{execution.ref} on {agent.id}: {end}")
        execution.end(*end)
        if agent.alive:
            agent.notice()

    @rule(number=_AGENT, what=st.sampled_from(["die", "restart", "reboot", "new machine", "leave", "leave for good"]))
    def machine(self, number: int, what: str) -> None:
        """The agent's process dies, with or without a new one at once; the host starts again; another one takes the
        name and has an empty disk; the agent leaves in order. The broker sees none of it but what it is told."""
        agent = self._agent(number)
        if what == "die":
            self.world.cut(agent, agent_sees=True, broker_sees=True)
            agent.die()
        elif what == "restart":
            agent.die()
            agent.live()
            self.world.connect(agent)
        elif what == "reboot":
            agent.reboot()
        elif what == "new machine":
            self.world.gone_journals.add(agent.journal_id)
            agent.replace_machine()
        elif agent.alive:
            agent.goodbye(keep=what == "leave")

    @rule(
        number=_AGENT,
        pick=_PICK,
        what=st.sampled_from(["drain", "drain now", "undrain", "declare lost", "release"]),
    )
    def operator(self, number: int, pick: int, what: str) -> None:
        """An operator empties an agent, or says that it is gone, or lets a held entry go."""
        if what != "release":
            self.world.operate(self._agent(number), what)
        elif self.world.wanted:
            self.world.release(self._entry(pick))

    # the broker

    @rule(how=st.sampled_from(["kill", "stop", "start"]))
    def broker(self, how: str) -> None:
        """SIGKILL, SIGTERM, a new process. One that is gone comes back by itself as soon as time goes by."""
        if how == "kill":
            self.world.kill_broker()
        elif how == "stop":
            self.world.stop_broker()
        else:
            self.world.start_broker()

    @precondition(lambda self: self.world.broker is not None)
    @rule(what=st.sampled_from(["fail", "crash before", "crash after", "hold", "release"]))
    def commit(self, what: str) -> None:
        """The next commit fails, or the broker dies just before or after it; or commits wait, and
        come together."""
        assert self.world.broker is not None
        transactor = self.world.broker.transactor
        if what == "hold":
            transactor.held = True
        elif what == "release":
            transactor.release()
        else:
            transactor.fault = what

    @rule(seconds=_LONG)
    def outage(self, seconds: float) -> None:
        """There is no broker for a while."""
        self.world.kill_broker()
        self.world.tick(seconds, outage=True)
        self.world.start_broker()

    # time

    @rule(seconds=_SHORT)
    def tick(self, seconds: float) -> None:
        """A little time, everybody awake."""
        self.world.tick(seconds)

    @rule(seconds=_LONG)
    def long_tick(self, seconds: float) -> None:
        """Much time: leases of whoever cannot be heard run out."""
        self.world.tick(seconds)

    @rule(seconds=st.sampled_from([-30, 30, 3600]))
    def jump(self, seconds: int) -> None:
        """Somebody sets the wall clock; no time goes by."""
        self.world.clock.jump(seconds)

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

    def _ended_tasks(self) -> list[str]:
        current = {wanted.request.envelope.task_id: each for each, wanted in self.world.wanted.items()}
        entries = self.world.entries()
        return [task for task, each in current.items() if each in entries and entries[each].state.ended]

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


def _run(machine: type[UnderFire], examples: int, steps: int, chosen: int | None = None) -> None:
    """Run so many histories. With a seed they are other ones for every seed, else always the same."""
    profile = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=chosen is None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        database=None,
    )
    seeded = type(machine.__name__, (machine,), {})
    if chosen is not None:
        print(f"{machine.__name__}: seed {chosen}")
        seed(chosen)(seeded)
    logging.disable(logging.WARNING)
    try:
        run_state_machine_as_test(seeded, settings=profile)  # type: ignore[no-untyped-call]
    finally:
        logging.disable(logging.NOTSET)
    print(f"{machine.__name__}: {examples} histories of up to {steps} steps, no invariant broken")


def test_no_history_breaks_an_invariant() -> None:
    _run(InMemory, 40, 40)


def test_no_history_on_sqlite_breaks_an_invariant() -> None:
    _run(OnSqlite, 8, 30)


@pytest.mark.nightly
@pytest.mark.chaos
@pytest.mark.timeout(0)
@pytest.mark.parametrize("machine", [InMemory, OnSqlite])
def test_no_long_history_breaks_an_invariant(machine: type[UnderFire]) -> None:
    """`BATUTA_HISTORIES`: how many. `BATUTA_SEED`: those of an earlier run, which printed it."""
    chosen = int(os.environ.get("BATUTA_SEED") or random.SystemRandom().getrandbits(32))
    _run(machine, int(os.environ.get("BATUTA_HISTORIES", "2000")), 60, chosen)
