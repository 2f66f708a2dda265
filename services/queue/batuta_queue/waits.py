"""How long entries had waited that agents took, counted until the recorder fetches it."""

from __future__ import annotations

from dataclasses import dataclass, field

from batuta_queue.history import bucket


@dataclass(slots=True)
class Tally:
    """Waits of one queue: how many of each class, and the longest in milliseconds."""

    counts: dict[int, int] = field(default_factory=dict[int, int])
    longest: int = 0


class Waits:
    """Tallies by queue, of what agents took at this broker."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}

    def note(self, queue_id: str, millis: int) -> None:
        """An agent took an entry that had waited for so long."""
        tally = self._tallies.setdefault(queue_id, Tally())
        each, millis = bucket(millis), max(0, millis)
        tally.counts[each] = tally.counts.get(each, 0) + 1
        tally.longest = max(tally.longest, millis)

    def fetch(self) -> dict[str, Tally]:
        """All since the last time."""
        fetched, self._tallies = self._tallies, {}
        return fetched
