"""Drains whose deadline comes: what still runs there is asked to make room."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from batuta_chassis.transactions import Transactor
from batuta_queue.book import LeaseBook
from batuta_queue.convert_session import cancel_message
from batuta_queue.ledger import Aftermath, Ledger
from batuta_queue.model import Agent, Attempt, Drain, Entry, Reason, Ref
from batuta_queue.numbers import Numbers
from batuta_queue.sessions import SessionRegistry
from batuta_queue.store import QueueStore
from batuta_queue.transitions import preempt
from batuta_rpc.clock import Clock

_log = logging.getLogger(__name__)

DRAINED = Reason("OFFER_RETURNED", "its agent is drained", 14)


class Drains:
    """The drains with a deadline, by agent. The wish itself is stored with the agent; this only watches the clock."""

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        registry: SessionRegistry,
        book: LeaseBook,
        aftermath: Aftermath,
        numbers: Numbers,
        clock: Clock,
    ) -> None:
        self._transactor = transactor
        self._registry = registry
        self._book = book
        self._aftermath = aftermath
        self._grace = round(numbers.cancel_grace * 1000)
        self._clock = clock
        self._deadlines: dict[str, tuple[str, int]] = {}

    def start(self, drained: Iterable[Agent]) -> None:
        """Take up the drains that stand from before."""
        for agent in drained:
            self.note(agent.id, agent.journal_id, agent.drain)

    def note(self, agent_id: str, journal_id: str, drain: Drain | None) -> None:
        """Follow a committed drain, or the end of one."""
        if drain is None or drain.deadline_millis is None:
            self._deadlines.pop(agent_id, None)
        else:
            self._deadlines[agent_id] = (journal_id, drain.deadline_millis)

    async def enforce(self) -> None:
        """Ask what runs beyond a deadline to stop. The wish is stored, so that it reaches an agent that is away."""
        now = self._clock.unix_millis()
        late: list[Ref] = []
        for journal_id, deadline in self._deadlines.values():
            if deadline <= now:
                late += [lease.ref for lease in self._book.of(journal_id).values() if lease.cancel is None]
        if late:
            _log.info("%d attempts of drained agents are cancelled: their deadline has come", len(late))
            await self._transactor.write(lambda store: self._preempt(store, late, now))

    def _preempt(self, store: QueueStore, refs: Sequence[Ref], now: int) -> None:
        ledger = Ledger(store, self._aftermath)
        for entry, attempt in store.attempts(refs).values():
            step = preempt(entry, attempt, self._grace, DRAINED, now)
            if step is not None and step.attempt is not None:
                ledger.record(step)
                self._send_after_commit(store, step.entry, step.attempt)
        ledger.write()

    def _send_after_commit(self, store: QueueStore, entry: Entry, attempt: Attempt) -> None:
        cancel = entry.cancel
        if cancel is None:
            return

        def send() -> None:
            session = self._registry.of_journal(attempt.holder.journal_id)
            if session is not None:
                session.outgoing.put(cancel_message(attempt.ref, cancel))

        store.after_commit(send)
