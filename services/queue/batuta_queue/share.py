"""Which agents one broker answers for: all of them, or its share of them where several brokers share a database.

Only the broker that answers for an agent may take work away from it on the word of time, because only that one hears
it. This module holds what the parts of a broker ask, and the answers of a broker that is alone; `part_share` has those
of one among several.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from batuta_chassis.transactions import Transactor
from batuta_proto.agents import v1 as agents
from batuta_queue.book import LeaseBook
from batuta_queue.leases import BROKER_STARTED, Leases
from batuta_queue.model import Agent, AttemptPhase
from batuta_queue.sessions import Session
from batuta_queue.store import QueueStore
from batuta_rpc.clock import Clock


class Share(Protocol):
    """What the parts of a broker ask."""

    @property
    def confirmed(self) -> bool:
        """Whether leases may be prolonged now: nobody can have taken this process for dead."""
        ...

    async def start(self) -> None:
        """Take up what earlier processes left."""
        ...

    def admit(self, store: QueueStore, agent: Agent) -> None:
        """Before a join: raises `AgentNameTaken` when another broker has another agent of this name."""
        ...

    def take(self, store: QueueStore, session: Session, agent: Agent) -> None:
        """At the end of a join: from now on this broker answers for the agent."""
        ...

    def end(self, store: QueueStore, session: Session) -> None:
        """A session is over."""
        ...

    def tell(self, topic: str) -> None:
        """Wake other brokers."""
        ...

    def elsewhere(self, store: QueueStore, agent_ids: Collection[str]) -> Mapping[str, bytes | None]:
        """Those of the agents that have a session at another broker, as that one shows them, if it did already."""
        ...

    def journals_elsewhere(self, store: QueueStore) -> set[str]:
        """The journals of all agents that are connected to other brokers."""
        ...

    def online_elsewhere(self) -> Mapping[str, Sequence[str]]:
        """Agents that are connected to other brokers, with the queues they serve; a few seconds old."""
        ...


def online_in(view: bytes | None) -> bool:
    """Whether an agent's broker shows it as connected; one that it has not shown yet has just come."""
    return view is None or agents.Agent.FromString(view).state == agents.AGENT_STATE_ONLINE


class WholeShare:
    """The answers of a broker that has its database for itself."""

    confirmed = True

    def __init__(self, transactor: Transactor[QueueStore], book: LeaseBook, leases: Leases, clock: Clock) -> None:
        self._transactor = transactor
        self._book = book
        self._leases = leases
        self._clock = clock

    async def start(self) -> None:
        """All that is open is ours, and gets a fresh term. Every stream of the earlier process is gone, so nobody can
        answer its offers any more."""
        left = await self._transactor.read(lambda store: store.open_attempts())
        now = self._clock.monotonic()
        for entry, attempt in left:
            self._book.note(entry, attempt, now)
        offered = [attempt.ref for _, attempt in left if attempt.phase is AttemptPhase.OFFERED]
        await self._leases.give_back(offered, BROKER_STARTED)

    def admit(self, store: QueueStore, agent: Agent) -> None:
        """The sessions in memory are all that there are."""

    def take(self, store: QueueStore, session: Session, agent: Agent) -> None:
        """Nobody else could have it."""

    def end(self, store: QueueStore, session: Session) -> None:
        """Nobody else asks."""

    def tell(self, topic: str) -> None:
        """Nobody hears it."""

    def elsewhere(self, store: QueueStore, agent_ids: Collection[str]) -> Mapping[str, bytes | None]:
        """There is no other place."""
        return {}

    def journals_elsewhere(self, store: QueueStore) -> set[str]:
        """There is no other place."""
        return set()

    def online_elsewhere(self) -> Mapping[str, Sequence[str]]:
        """There is no other place."""
        return {}
