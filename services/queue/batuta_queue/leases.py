"""Offers that come back and leases that are lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence

from batuta_chassis.transactions import Transactor
from batuta_queue.ledger import Aftermath, Ledger
from batuta_queue.model import Attempt, AttemptPhase, Entry, Reason, Ref
from batuta_queue.store import QueueStore
from batuta_queue.transitions import Loss, give_back, lose
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids

_log = logging.getLogger(__name__)

STREAM_RESET = Reason("OFFER_RETURNED", "the agent's session ended before it answered the offer", 14)
NO_ANSWER = Reason("OFFER_RETURNED", "the agent did not answer the offer in time", 4)
NOT_SENT = Reason("OFFER_RETURNED", "the agent was gone before the offer could be sent", 14)
BROKER_STARTED = Reason("OFFER_RETURNED", "the broker started again while the offer was open", 14)
BROKER_DIED = Reason("OFFER_RETURNED", "the broker that had made the offer is gone", 14)

EXPIRED = Loss(Reason("LEASE_EXPIRED", "its agent was not heard of for as long as the lease allows", 14))
VANISHED = Loss(Reason("ATTEMPT_VANISHED", "its agent is there and does not have it any more", 14))
HOST_RESTARTED = Loss(Reason("HOST_RESTARTED", "the agent's machine was started again", 14), suspicious=False)
AGENT_LEFT = Loss(
    Reason("AGENT_LEFT", "its agent left and gave it back", 14), counted=False, suspicious=False, moves=True
)

Owned = Callable[[QueueStore, Collection[str]], Collection[str]]


def everybody(_store: QueueStore, agent_ids: Collection[str]) -> Collection[str]:
    """The agents that a broker answers for which is alone."""
    return agent_ids


class Leases:
    """The use cases that take attempts away from agents."""

    def __init__(
        self, transactor: Transactor[QueueStore], aftermath: Aftermath, clock: Clock, ids: Ids, owned: Owned = everybody
    ) -> None:
        """`owned`: the agents, of those that it is given, that this broker answers for."""
        self._owned = owned
        self._transactor = transactor
        self._aftermath = aftermath
        self._clock = clock
        self._ids = ids

    async def give_back(self, refs: Sequence[Ref], reason: Reason) -> None:
        """Return offers that are still unanswered to the head of their queues."""
        if refs:
            await self._transactor.write(lambda store: self._give_back(store, refs, reason))

    async def lose(self, refs: Sequence[Ref], loss: Loss) -> None:
        """End accepted attempts as lost; their entries are tried again, held or done, by policy and budget."""
        lost = await self._transactor.write(lambda store: self._lose(store, refs, loss)) if refs else 0
        if lost:  # a lease may outlive its attempt for a moment, and that is nothing to tell of
            _log.warning("%d attempts are lost: %s", lost, loss.reason.name)

    async def note_left(self, agent_id: str) -> None:
        """An agent says goodbye: it is not one of those that vanished."""
        now = self._clock.unix_millis()
        await self._transactor.write(lambda store: store.agent_left(agent_id, now))

    def _give_back(self, store: QueueStore, refs: Sequence[Ref], reason: Reason) -> None:
        ledger = Ledger(store, self._aftermath)
        now = self._clock.unix_millis()
        for entry, attempt in self._ours(store, refs):
            if attempt.phase is AttemptPhase.OFFERED:
                ledger.record(give_back(entry, attempt, reason, now))
        ledger.write()

    def _lose(self, store: QueueStore, refs: Sequence[Ref], loss: Loss) -> int:
        ledger = Ledger(store, self._aftermath)
        now = self._clock.unix_millis()
        alive = [each for each in self._ours(store, refs) if not each[1].phase.ended]
        for entry, attempt in alive:
            ledger.record(lose(entry, attempt, loss, now, self._ids.uniform(0, 1)))
        ledger.write()
        return len(alive)

    def _ours(self, store: QueueStore, refs: Sequence[Ref]) -> list[tuple[Entry, Attempt]]:
        """The attempts, but for those whose agents another broker answers for by now. In one order everywhere, or two
        brokers would wait for each other."""
        known = store.attempts(refs)
        found = [known[ref] for ref in sorted(refs) if ref in known]
        ours = self._owned(store, {attempt.holder.agent_id for _, attempt in found})
        return [(entry, attempt) for entry, attempt in found if attempt.holder.agent_id in ours]
