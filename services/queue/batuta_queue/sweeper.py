"""What time alone decides: offers without an answer, leases without a heartbeat, history that is old enough."""

from __future__ import annotations

from batuta_chassis.transactions import Transactor
from batuta_queue.board import Board
from batuta_queue.book import LeaseBook
from batuta_queue.leases import EXPIRED, NO_ANSWER, Leases
from batuta_queue.model import Ref
from batuta_queue.numbers import Numbers
from batuta_queue.oversight import Oversight
from batuta_queue.sessions import SessionRegistry
from batuta_queue.store import QueueStore
from batuta_queue.writers import Writers
from batuta_rpc.clock import Clock
from batuta_rpc.errors import Unavailable


class Sweeper:
    """Looks once a period. Nothing that has to be quick waits for it."""

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        book: LeaseBook,
        registry: SessionRegistry,
        board: Board,
        writers: Writers,
        leases: Leases,
        oversight: Oversight,
        numbers: Numbers,
        clock: Clock,
    ) -> None:
        self._transactor = transactor
        self._book = book
        self._registry = registry
        self._board = board
        self._writers = writers
        self._leases = leases
        self._oversight = oversight
        self._numbers = numbers
        self._clock = clock
        self._touched: dict[str, float] = {}

    async def run(self) -> None:
        """Sweep for ever."""
        last = self._clock.monotonic()
        while True:
            begun = self._clock.monotonic()
            await self._clock.sleep(self._numbers.sweep_period)
            now = self._clock.monotonic()
            allowed = self._numbers.sweep_period + self._numbers.stall_after
            if now - last > allowed:
                self._forgive(now)
            if now - begun > allowed:  # not for a slow store: it has enough to do
                self._ask_all_again(now)
            last = now
            await self.sweep()

    async def sweep(self) -> None:
        """One look."""
        now = self._clock.monotonic()
        self._board.due(self._clock.unix_millis())
        late = self._book.unanswered(now, self._numbers.accept_within)
        for lease in late:
            session = self._registry.of_journal(lease.holder.journal_id)
            if session is not None:
                session.refused()
        self._watch_sessions(now)
        await self._leases.give_back([lease.ref for lease in late], NO_ANSWER)
        if not await self._oversight.mass_loss.holds(len(self._expired(now))):
            # Looked at again: an agent may have come back meanwhile.
            await self._leases.lose(self._expired(now), EXPIRED)
        await self._oversight.drains.enforce()

    def _expired(self, now: float) -> list[Ref]:
        """Attempts whose leases have run out, but for those of agents to whom we do not listen at the moment."""
        expired: list[Ref] = []
        for lease in self._book.expired(now):
            session = self._registry.of_journal(lease.holder.journal_id)
            if session is None or not session.taking:
                expired.append(lease.ref)
        return expired

    def _watch_sessions(self, now: float) -> None:
        self._writers.tear(now, self._numbers.write_within)
        for session in self._registry.all():
            if session.taking or self._registry.online(session, now):
                continue
            session.pause()
            self._board.refresh(session)
            silent = now - session.last_heard
            if silent >= max(self._numbers.silence, session.longest_period * self._numbers.offline_periods):
                session.outgoing.fail(Unavailable(f"nothing came from this agent for {silent:.0f} s; connect again"))

    async def touch(self) -> None:
        """Store, once a period, when agents were last heard: for people, and so not for every heartbeat."""
        while True:
            await self._clock.sleep(self._numbers.touch_period)
            await self.touch_now()

    async def touch_now(self) -> None:
        """Store when agents were last heard."""
        now, wall = self._clock.monotonic(), self._clock.unix_millis()
        heard: dict[str, int] = {}
        touched: dict[str, float] = {}
        for session in self._registry.all():
            touched[session.agent.id] = session.last_heard
            if self._touched.get(session.agent.id) != session.last_heard:
                heard[session.agent.id] = wall - round((now - session.last_heard) * 1000)
        self._touched = touched
        if heard:
            await self._transactor.write(lambda store: store.touch_agents(heard))

    async def purge(self) -> None:
        """Forget old history, a bounded piece at a time."""
        while True:
            before = self._clock.unix_millis() - round(self._numbers.history_seconds * 1000)
            while await self._purge_some(before):
                pass
            await self._clock.sleep(self._numbers.purge_period)

    async def _purge_some(self, before: int) -> int:
        return await self._transactor.write(lambda store: store.purge(before, self._numbers.purge_batch))

    def _forgive(self, now: float) -> None:
        """This process stood still, so it heard nobody: that proves nothing about them."""
        self._book.renew_all(now)
        self._writers.forgive(now)
        for session in self._registry.all():
            session.last_heard = max(session.last_heard, now)

    def _ask_all_again(self, now: float) -> None:
        for session in self._registry.all():
            session.ask_again(now)
