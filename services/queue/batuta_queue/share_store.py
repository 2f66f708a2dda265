"""What brokers that share one database ask of its store: who has which agent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from batuta_chassis.members import MemberStore
from batuta_queue.model import Attempt, Drain, Entry


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an agent is: the broker that answers for it, and its session there (empty: none now).

    `view` is the agent as that broker shows it to people, serialized; None before it was first stored.
    """

    agent_id: str
    journal_id: str
    instance_id: str
    host: str
    owner: str
    session_id: str
    view: bytes | None = None
    drain: Drain | None = None
    queue_ids: tuple[str, ...] = ()


class ShareStore(Protocol):
    """Rows that only matter where several brokers share a database."""

    @property
    def members(self) -> MemberStore:
        """The brokers."""
        ...

    def place(self, placement: Placement) -> None:
        """An agent is here from now on, and under no other name: what its journal has is this broker's too."""
        ...

    def placement(self, agent_id: str) -> Placement | None:
        """Where an agent is."""
        ...

    def end_session(self, agent_id: str, session_id: str) -> None:
        """That session is over; a newer one stays."""
        ...

    def adopt(self, owner: str) -> list[str]:
        """Answer for all agents that have open attempts and whose broker is no member any more. Returns them."""
        ...

    def placements(self, owner: str) -> list[Placement]:
        """The agents of a broker that have a session or open attempts, with their drains and without views."""
        ...

    def elsewhere(self, owner: str, agent_ids: Collection[str] | None = None) -> list[Placement]:
        """Agents with a session at another member, with their queues and views: all, or those of `agent_ids`."""
        ...

    def owned(self, owner: str, agent_ids: Collection[str]) -> set[str]:
        """Which of these agents a broker answers for; they stay so until the transaction ends."""
        ...

    def attempts_of(self, owner: str) -> list[tuple[Entry, Attempt]]:
        """Open attempts of the agents that a broker answers for."""
        ...

    def save_views(self, owner: str, views: Mapping[str, bytes]) -> None:
        """Store how a broker shows its agents."""
        ...

    def ready_queues(self, queue_ids: Sequence[str], now: int) -> list[str]:
        """Those of the queues in which an entry waits that may go now."""
        ...
