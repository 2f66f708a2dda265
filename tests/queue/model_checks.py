"""For the state machine: what must hold whenever nothing moves."""

from __future__ import annotations

from dataclasses import dataclass, field

from batuta_queue.model import AttemptPhase, EntryState, Event, Ref

from .model_world import World, open_refs

_W, _O, _H, _R, _D, _X = EntryState
_NEXT: dict[EntryState | None, set[EntryState]] = {
    None: {_W},
    _W: {_O, _X},
    _O: {_R, _W, _D, _H, _X},
    _R: {_R, _W, _D, _H},
    _H: {_W, _X},
    _D: set(),
    _X: set(),
}


_PAUSE = 20.0
"""Seconds within which a dispatcher whose commit failed tries again."""


@dataclass
class Checks:
    """Follows the event log and compares everything with everything."""

    position: int = 0
    states: dict[str, EntryState] = field(default_factory=dict[str, EntryState])
    attempts: dict[str, int] = field(default_factory=dict[str, int])
    phases: dict[Ref, AttemptPhase] = field(default_factory=dict[Ref, AttemptPhase])
    order: dict[str, int] = field(default_factory=dict[str, int])
    failures: tuple[int, float] = (0, -_PAUSE)

    def all(self, world: World) -> None:
        """Raises `AssertionError` for the first thing that is wrong."""
        self.log(world)
        self.entries(world)
        self.promises(world)
        self.memory(world)
        assert not world.faults.found, world.faults.found
        assert not world.loop.faults, world.loop.faults

    def log(self, world: World) -> None:
        """Positions without holes; each entry goes a legal way; attempts and phases only grow."""
        events = world.rows.look(lambda store: store.events(self.position, 10_000))
        for event in events:
            assert event.position == self.position + 1, f"the log has a hole before {event}"
            self.position = event.position
            self._follow(event)

    def entries(self, world: World) -> None:
        """Rows say what the log says."""
        for entry_id, entry in world.entries().items():
            if not entry.task_id:
                continue
            assert entry.state is self.states.get(entry_id), f"{entry} and the log tells {self.states.get(entry_id)!r}"
            assert entry.losses <= entry.max_losses + 1, f"lost too often: {entry}"
            if entry.state is EntryState.WAITING:
                assert entry.cancel is None, f"taken out and yet waiting: {entry}"
        for ref, phase in open_refs(world.rows).items():
            assert self.phases[ref] is phase, f"{ref} is {phase!r} and the log tells {self.phases[ref]!r}"
        open_by_journal: dict[str, int] = {}
        for _, attempt in world.rows.look(lambda store: store.open_attempts()):
            journal = attempt.holder.journal_id
            open_by_journal[journal] = open_by_journal.get(journal, 0) + 1
        for agent in world.agents:
            assert open_by_journal.get(agent.journal_id, 0) <= agent.places, f"{agent.id} has more than it has room for"

    def promises(self, world: World) -> None:
        """What was acknowledged is there."""
        entries = world.entries()
        for entry_id, wanted in world.wanted.items():
            assert not wanted.stored or entry_id in entries, f"{entry_id} was acknowledged and is lost"
            if wanted.withdrawn and wanted.stored:
                entry = entries[entry_id]
                stopping = entry.state is EntryState.RUNNING and entry.cancel is not None
                assert entry.state.ended or stopping, f"taken out and yet there: {entry}"

    def memory(self, world: World) -> None:
        """The broker's memory mirrors the rows, and misses nothing that waits."""
        process = world.broker
        if process is None or not process.quiet:
            return
        broker, rows = process.broker, open_refs(world.rows)
        assert len(broker.book) == len(rows), "leases in memory and open attempts differ in number"
        for ref, phase in rows.items():
            lease = broker.book.get(ref)
            assert lease is not None, f"{ref} is open and memory does not know it"
            assert lease.phase is phase, f"{ref} is {phase!r} and in memory it is {lease}"
        for session in broker.registry.all():
            assert session.reserved == 0, f"{session.agent.id} has a credit reserved for nothing"
            known = {ref for ref, lease in broker.book.of(session.agent.journal_id).items() if not lease.answered}
            assert session.offers <= known, f"{session.agent.id} is thought to have offers that are none"
            pausing = self._pausing(process.transactor.failures, world.clock.boottime())
            self._nobody_waits_for(world, session.agent.queue_ids, 0 if pausing else session.credit)

    def _pausing(self, failures: int, now: float) -> bool:
        """Whether the dispatcher may be waiting before its next try: a commit has failed not long ago."""
        if failures != self.failures[0]:
            self.failures = failures, now
        return failures > 0 and now - self.failures[1] < _PAUSE

    def _nobody_waits_for(self, world: World, queue_ids: tuple[str, ...], credit: int) -> None:
        assert world.broker is not None
        # What has just become due is seen at the next sweep.
        now = world.clock.unix_millis() - 1_000
        for queue_id in queue_ids:
            waits = world.rows.look(lambda store, queue_id=queue_id: store.waiting(queue_id, 1, now))  # type: ignore[misc]
            if waits and waits[0][0].not_before_millis == 0:
                assert world.broker.broker.board.may_wait(queue_id), f"the board has forgotten {waits[0][0]}"
                assert credit == 0, f"{waits[0][0]} waits beside an agent with room"

    def _follow(self, event: Event) -> None:
        before = self.states.get(event.entry_id)
        assert event.entry_state in _NEXT[before], f"from {before!r} to {event}"
        self.states[event.entry_id] = event.entry_state
        if event.phase is AttemptPhase.UNSPECIFIED:
            return
        ref = Ref(event.task_id, event.attempt)
        if ref not in self.phases:
            assert event.phase is AttemptPhase.OFFERED, f"an attempt begins with {event}"
            assert event.attempt > self.attempts.get(event.task_id, 0), f"an old number again: {event}"
            self.attempts[event.task_id] = event.attempt
        else:
            assert event.phase > self.phases[ref], f"{self.phases[ref]!r} and then {event}"
            assert not self.phases[ref].ended, f"ended and then {event}"
        self.phases[ref] = event.phase
