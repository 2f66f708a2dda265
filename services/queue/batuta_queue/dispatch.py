"""Matching: entries that wait to agents that have room, several in one transaction, and nobody polls."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from batuta_chassis.transactions import Transactor
from batuta_proto.agents import v1 as agents
from batuta_queue.assignments import Assignments
from batuta_queue.board import Board
from batuta_queue.ledger import Aftermath, Ledger
from batuta_queue.meters import waited, waits
from batuta_queue.model import Attempt, Entry, Payload, Ref
from batuta_queue.numbers import Numbers
from batuta_queue.sessions import Session, SessionRegistry
from batuta_queue.store import QueueStore
from batuta_queue.transitions import next_attempt, offer
from batuta_rpc.clock import Clock


@dataclass(frozen=True, slots=True)
class Offer:
    """One entry on its way to one agent."""

    session: Session
    entry: Entry
    attempt: Attempt
    payload: Payload


Prepare = Callable[[Sequence[Offer]], None]
_PREPARED = 1_024


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim found: the offers, and the queues in which nothing was left for it at its time."""

    offers: Sequence[Offer]
    emptied: frozenset[str]
    now: int


def claim(store: QueueStore, ledger: Ledger, wants: Sequence[tuple[Session, int]], now: int) -> Claim:
    """Take the next entries for sessions that have credit reserved, and record the offers.

    Each session takes from the first of its queues that has something; sessions take turns, one entry at a time.
    """
    lines = _Lines(store, wants, now)
    turns = deque(wants)
    taken: list[tuple[Session, Entry, Payload]] = []
    while turns:
        session, count = turns.popleft()
        found = lines.next(session.agent.queue_ids)
        if found is not None:
            taken.append((session, *found))
            if count > 1:
                turns.append((session, count - 1))
    last = store.last_attempts([entry.task_id for _, entry, _ in taken])
    offers: list[Offer] = []
    for session, entry, payload in taken:
        step = offer(entry, session.agent.holder, next_attempt(entry, last.get(entry.task_id, 0)), now)
        assert step.attempt is not None
        ledger.record(step)
        offers.append(Offer(session, step.entry, step.attempt, payload))
    return Claim(offers, lines.emptied, now)


class _Lines:
    """The heads of the queues, read once each, as far as all who want could take them."""

    def __init__(self, store: QueueStore, wants: Sequence[tuple[Session, int]], now: int) -> None:
        self._store = store
        self._now = now
        self._wanted: dict[str, int] = {}
        for session, count in wants:
            for queue_id in session.agent.queue_ids:
                self._wanted[queue_id] = self._wanted.get(queue_id, 0) + count
        self._heads: dict[str, deque[tuple[Entry, Payload]]] = {}
        self._short: set[str] = set()

    def next(self, queue_ids: Sequence[str]) -> tuple[Entry, Payload] | None:
        """The next entry of the first queue that has one."""
        for queue_id in queue_ids:
            head = self._heads.get(queue_id)
            if head is None:
                wanted = self._wanted.get(queue_id, 1)  # an agent may have named its queues anew meanwhile
                head = self._heads[queue_id] = deque(self._store.waiting(queue_id, wanted, self._now))
                if len(head) < wanted:
                    self._short.add(queue_id)
            if head:
                return head.popleft()
        return None

    @property
    def emptied(self) -> frozenset[str]:
        """Queues of which all that was ready has been taken."""
        return frozenset(each for each in self._short if not self._heads[each])


def _in_loop(loop: asyncio.AbstractEventLoop, work: Prepare, offers: Sequence[Offer]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever would have been told
        loop.call_soon_threadsafe(work, offers)


class Dispatcher:
    """Brings waiting entries and agents with credit together."""

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        board: Board,
        registry: SessionRegistry,
        aftermath: Aftermath,
        assignments: Assignments,
        give_back: Callable[[Sequence[Ref]], None],
        numbers: Numbers,
        clock: Clock,
    ) -> None:
        """`give_back` returns offers that could not be sent; it does not wait."""
        self._transactor = transactor
        self._board = board
        self._registry = registry
        self._aftermath = aftermath
        self._assignments = assignments
        self._give_back = give_back
        self._numbers = numbers
        self._clock = clock
        self._prepared: dict[Ref, agents.SessionResponse] = {}
        self._stopped = False
        self.waits = waits()

    def stop(self) -> None:
        """Offer nothing more: the process is going down."""
        self._stopped = True

    async def run(self) -> None:
        """Match whenever something may match, for ever."""
        while True:
            await self._board.wait()
            while not self._stopped and await self.once():
                pass

    async def once(self) -> bool:
        """One round. False: there was nothing to do."""
        wants = self._board.reserve_all(self._numbers.claim_batch)
        if not wants:
            return False
        queue_ids = {queue_id for session, _ in wants for queue_id in session.agent.queue_ids}
        marks = {queue_id: self._board.marks(queue_id) for queue_id in queue_ids}
        prepare = self.preparer()
        try:
            found = await self._transactor.write(lambda store: self._claim(store, wants, prepare))
            for queue_id in found.emptied:
                self._board.clear(queue_id, marks[queue_id], found.now)
        finally:
            for session, count in wants:
                self._board.release(session, count)
        return True

    def reserve(self, queue_id: str) -> Session | None:
        """One credit of an agent that waits for this queue, if there is one and we still offer."""
        return None if self._stopped else self._board.reserve(queue_id)

    def deliver(self, offers: Sequence[Offer]) -> None:
        """Send committed offers to their agents. Those whose session is gone go back."""
        missed: list[Ref] = []
        now = self._clock.unix_millis()
        for each in offers:
            self.waits.note(waited(each.entry, now))
            current = self._registry.of_journal(each.attempt.holder.journal_id)
            message = self._prepared.pop(each.attempt.ref, None) or self._message(each)
            if current is not each.session or not each.session.outgoing.put(message):
                missed.append(each.attempt.ref)
        if missed:
            self._give_back(missed)

    def preparer(self) -> Prepare:
        """For the end of a use case that offers: lets the loop sign the tokens while the commit waits for the disk."""
        loop = asyncio.get_running_loop()
        return lambda offers: _in_loop(loop, self._prepare, offers)

    def _prepare(self, offers: Sequence[Offer]) -> None:
        for each in offers:
            self._prepared[each.attempt.ref] = self._message(each)
        while len(self._prepared) > _PREPARED:
            # Left over from commits that failed.
            del self._prepared[next(iter(self._prepared))]

    def _message(self, each: Offer) -> agents.SessionResponse:
        return agents.SessionResponse(assignment=self._assignments.make(each.entry, each.attempt, each.payload))

    def _claim(self, store: QueueStore, wants: Sequence[tuple[Session, int]], prepare: Prepare) -> Claim:
        ledger = Ledger(store, self._aftermath)
        found = claim(store, ledger, wants, self._clock.unix_millis())
        ledger.write()
        if found.offers:
            prepare(found.offers)
            store.after_commit(lambda: self.deliver(found.offers))
        return found
