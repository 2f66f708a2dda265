"""For tests: the histories of a store in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from batuta_queue.history import TIERS, Point


class MemoryHistory:
    """See `HistoryStore`."""

    def __init__(self) -> None:
        super().__init__()
        self._points: dict[tuple[str, int, int], tuple[int, Point]] = {}

    def points_at(self, subjects: Sequence[str], tier: int, millis: int) -> Mapping[str, Point]:
        """See `HistoryStore.points_at`."""
        slot = TIERS[tier].slot(millis)
        there = {each: self._points.get((each, tier, slot)) for each in subjects}
        return {each: found[1] for each, found in there.items() if found is not None and found[0] == millis}

    def save_points(self, tier: int, millis: int, points: Mapping[str, Point]) -> None:
        """See `HistoryStore.save_points`."""
        for subject, point in points.items():
            self._points[subject, tier, TIERS[tier].slot(millis)] = (millis, point)

    def history(self, subject: str, tier: int, since: int, until: int) -> list[tuple[int, Point]]:
        """See `HistoryStore.history`."""
        mine = [pair for key, pair in self._points.items() if key[:2] == (subject, tier)]
        return sorted((pair for pair in mine if since <= pair[0] < until), key=lambda pair: pair[0])

    def drop_history(self, subject: str) -> None:
        """See `HistoryStore.drop_history`."""
        self._points = {key: pair for key, pair in self._points.items() if key[0] != subject}
