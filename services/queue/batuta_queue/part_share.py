"""One broker among several on one database: what it has, taken from the database again and again.

Who has an agent is a row, written when the agent joins. Everything that memory holds about agents and attempts is
compared with the rows once in a while, and at once when another broker hints at a change. So a hint that is lost costs
a second or two, a broker that died is replaced by whoever looks first, and one that was taken for dead starts empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence

from batuta_chassis.bus import Bus
from batuta_chassis.membership import Membership
from batuta_chassis.transactions import Transactor
from batuta_queue import signals
from batuta_queue.board import Board
from batuta_queue.book import LeaseBook
from batuta_queue.convert_session import cancel_message
from batuta_queue.leases import BROKER_DIED, NOT_SENT, Leases
from batuta_queue.model import Agent, Attempt, AttemptPhase, Entry, Ref
from batuta_queue.sessions import Session, SessionRegistry, name_taken, superseded
from batuta_queue.share import online_in
from batuta_queue.share_store import Placement
from batuta_queue.store import QueueStore
from batuta_rpc.clock import Clock, within

_log = logging.getLogger(__name__)
_PERIOD = 1.0
"""Seconds between two looks at what belongs to this broker, without a hint."""
_ELSEWHERE_PERIOD = 5.0


class PartShare:
    """See `batuta_queue.share`."""

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        membership: Membership[QueueStore],
        bus: Bus,
        book: LeaseBook,
        registry: SessionRegistry,
        board: Board,
        leases: Leases,
        clock: Clock,
    ) -> None:
        self._transactor = transactor
        self._membership = membership
        self._bus = bus
        self._book = book
        self._registry = registry
        self._board = board
        self._leases = leases
        self._clock = clock
        self._hinted = asyncio.Event()
        self._orphans = True
        self._doubt: frozenset[Ref] | None = None
        self._elsewhere: Mapping[str, Sequence[str]] = {}
        self._drains: Callable[[Placement], None] | None = None
        bus.listen(self._hear)
        membership.on_anew(self._begin_anew)

    # what the parts of a broker ask

    @property
    def confirmed(self) -> bool:
        """Whether nobody can have taken this process for dead."""
        return self._membership.confirmed

    async def start(self) -> None:
        """Take up what dead brokers left."""
        await self.look()

    def admit(self, store: QueueStore, agent: Agent) -> None:
        """Raises `AgentNameTaken` when another broker has another agent of this name, connected and heard."""
        there = store.placement(agent.id)
        if there is None or there.journal_id == agent.journal_id or not there.session_id:
            return
        if there.owner != self._membership.id and store.members.present(there.owner) and online_in(there.view):
            raise name_taken(agent.id, there.host)

    def take(self, store: QueueStore, session: Session, agent: Agent) -> None:
        """From now on this broker answers for the agent."""
        me = self._membership.id
        store.place(Placement(agent.id, agent.journal_id, agent.instance_id, agent.host, me, session.id))
        store.after_commit(lambda: self._bus.send(signals.agent(agent.id)))

    def end(self, store: QueueStore, session: Session) -> None:
        """A session is over; the agent stays ours until another broker takes it."""
        store.end_session(session.agent.id, session.id)

    def tell(self, topic: str) -> None:
        """Wake other brokers."""
        self._bus.send(topic)

    def elsewhere(self, store: QueueStore, agent_ids: Collection[str]) -> Mapping[str, bytes | None]:
        """Those that have a session at another broker."""
        return {each.agent_id: each.view for each in store.elsewhere(self._membership.id, agent_ids)}

    def journals_elsewhere(self, store: QueueStore) -> set[str]:
        """The journals of all agents that are connected to other brokers."""
        return {each.journal_id for each in store.elsewhere(self._membership.id) if online_in(each.view)}

    def online_elsewhere(self) -> Mapping[str, Sequence[str]]:
        """Agents that are connected to other brokers, with their queues."""
        return self._elsewhere

    # looking

    def on_placement(self, follow: Callable[[Placement], None]) -> None:
        """Have `follow` called at every look with each agent that this broker answers for."""
        self._drains = follow

    def hint(self) -> None:
        """Look soon."""
        self._hinted.set()

    def members_changed(self) -> None:
        """A broker is gone, or this one is another: look for agents that nobody answers for."""
        self._orphans = True
        self.hint()

    def doubt(self) -> None:
        """A commit may have gone through of which memory has not heard."""
        if self._doubt is None:
            self._doubt = frozenset(self._book.refs())
        self.hint()

    async def run(self) -> None:
        """Look for ever: at once after a hint, else every second."""
        while True:
            with contextlib.suppress(TimeoutError):
                await within(self._clock, _PERIOD, self._hinted.wait())
            self._hinted.clear()
            await self.look()

    async def look_elsewhere(self) -> None:
        """Keep in mind who is connected to other brokers."""
        while True:
            found = await self._transactor.read(lambda store: store.elsewhere(self._membership.id))
            self._elsewhere = {each.agent_id: each.queue_ids for each in found if online_in(each.view)}
            await self._clock.sleep(_ELSEWHERE_PERIOD)

    async def look(self) -> None:
        """Make memory what the rows say. Changes nothing for a process that was taken for dead meanwhile."""
        if self._orphans:
            await self._adopt()
        if self._doubt is not None:
            await self._settle_doubt(self._doubt)
        me, known, sessions = self._membership.id, self._book.refs(), self._registry.all()
        idle = self._board.idle_queues()
        now = self._clock.unix_millis()

        def read(store: QueueStore) -> tuple[list[Placement], list[tuple[Entry, Attempt]], list[str], bool]:
            mine, open_ = store.placements(me), store.attempts_of(me)
            # Read last: as long as this row was there, nobody had begun to take what is ours.
            return mine, open_, store.ready_queues(idle, now), store.members.present(me)

        mine, open_attempts, ready, present = await self._transactor.read(read)
        if not present or me != self._membership.id:
            return
        # Sessions first: whoever is connected elsewhere must not hear from here that it has lost what it runs.
        await self._end_sessions(sessions, {each.agent_id: each.session_id for each in mine})
        if me != self._membership.id:
            return
        self._follow_attempts(known, open_attempts)
        for each in mine:
            if self._drains is not None:
                self._drains(each)
        for queue_id in ready:
            self._board.mark(queue_id)

    async def _adopt(self) -> None:
        me = self._membership.id

        def take(store: QueueStore) -> tuple[list[str], list[Ref]]:
            taken = store.adopt(me)
            offers = [
                attempt.ref
                for _, attempt in (store.attempts_of(me) if taken else ())
                if attempt.phase is AttemptPhase.OFFERED and attempt.holder.agent_id in taken
            ]
            return taken, offers

        self._orphans = False
        try:
            taken, offers = await self._transactor.write(take)
        except BaseException:
            self._orphans = True
            raise
        if taken:
            _log.warning("answering for %d agents whose broker is gone; their leases begin anew", len(taken))
        # Their streams are gone, so nobody can answer these any more.
        await self._leases.give_back(offers, BROKER_DIED)

    async def _settle_doubt(self, before: Collection[Ref]) -> None:
        """Compare memory with the rows in a transaction of its own: it comes after the doubtful one, and its hook after
        those of all that came before, so that what differs is what was never heard of. `before` was in memory."""
        me = self._membership.id

        def use_case(store: QueueStore) -> None:
            rows = store.attempts_of(me)
            store.after_commit(lambda: self._compare(rows, before, unsent))

        unsent: list[Ref] = []
        await self._transactor.write(use_case)
        self._doubt = None
        # Their agents have never seen these.
        await self._leases.give_back(unsent, NOT_SENT)

    def _compare(self, rows: Sequence[tuple[Entry, Attempt]], before: Collection[Ref], unsent: list[Ref]) -> None:
        for _, attempt in rows:
            if attempt.phase is AttemptPhase.OFFERED and attempt.ref not in before:
                session = self._registry.of_journal(attempt.holder.journal_id)
                if session is None or attempt.ref not in session.offers:
                    unsent.append(attempt.ref)
        self._follow_attempts(self._book.refs(), rows)

    def _follow_attempts(self, known: Collection[Ref], rows: Sequence[tuple[Entry, Attempt]]) -> None:
        """`known` was in memory before the rows were read: what is not among them has ended or gone elsewhere."""
        now = self._clock.monotonic()
        there: set[Ref] = set()
        for entry, attempt in rows:
            there.add(attempt.ref)
            if self._book.catch_up(entry, attempt, now) and entry.cancel is not None:
                session = self._registry.of_journal(attempt.holder.journal_id)
                if session is not None:
                    session.outgoing.put(cancel_message(attempt.ref, entry.cancel))
        for ref in known:
            lease = None if ref in there else self._book.get(ref)
            if lease is not None:
                self._book.drop(ref)
                session = self._registry.of_journal(lease.holder.journal_id)
                if session is not None:
                    session.closed(ref)
                    self._board.refresh(session)

    async def _end_sessions(self, sessions: Sequence[Session], mine: Mapping[str, str]) -> None:
        """End those of `sessions`, which were open before the rows were read, whose agents went to another broker."""
        gone = [each for each in sessions if each.open and mine.get(each.agent.id) != each.id]
        if not gone:
            return
        ids = [each.agent.id for each in gone]
        now_at = await self._transactor.read(lambda store: [store.placement(agent_id) for agent_id in ids])
        for session, there in zip(gone, now_at, strict=True):
            if there is None or there.session_id == session.id:
                continue  # it has just come
            _log.info("agent %s is connected to another broker now", session.agent.id)
            self._registry.remove(session)
            session.outgoing.fail(superseded(session, there.instance_id, there.session_id))
            self._board.refresh(session)

    def _begin_anew(self) -> None:
        self._book.clear()
        self.members_changed()

    def _hear(self, topic: str) -> None:
        queue_id = signals.queue_of(topic)
        if queue_id is not None:
            self._board.mark(queue_id)
        elif signals.is_about_agents(topic):
            self.hint()
