"""What the histories ask of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from batuta_queue.history import Point


class HistoryStore(Protocol):
    """Points by subject and tier. A point takes the place of the one that stood a whole ring before it."""

    def points_at(self, subjects: Sequence[str], tier: int, millis: int) -> Mapping[str, Point]:
        """The points of some subjects that begin at a moment."""
        ...

    def save_points(self, tier: int, millis: int, points: Mapping[str, Point]) -> None:
        """Store one point of each subject, in place of what stands there."""
        ...

    def history(self, subject: str, tier: int, since: int, until: int) -> list[tuple[int, Point]]:
        """Points that begin at `since` or later and before `until`, by time."""
        ...

    def drop_history(self, subject: str) -> None:
        """Forget all of a subject."""
        ...


_QUEUE = "queue:"


def of_queue(queue_id: str) -> str:
    """A queue as a subject."""
    return f"{_QUEUE}{queue_id}"


def queue_of(subject: str) -> str | None:
    """The queue that a subject is, if it is one."""
    return subject[len(_QUEUE) :] if subject.startswith(_QUEUE) else None


def of_agent(agent_id: str) -> str:
    """An agent as a subject."""
    return f"agent:{agent_id}"
