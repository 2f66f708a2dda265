"""Who follows a log now: writers send sooner while somebody does."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

WATCHED = 0.020
UNWATCHED = 0.500
"""Seconds that a writer gathers before it sends."""


class Followers:
    """Counts the readers of each task's log in this process."""

    def __init__(self) -> None:
        self._readers: dict[str, int] = {}

    @contextmanager
    def following(self, task_id: str) -> Generator[None]:
        """Count one reader as long as the block runs."""
        self._readers[task_id] = self._readers.get(task_id, 0) + 1
        try:
            yield
        finally:
            self._readers[task_id] -= 1
            if not self._readers[task_id]:
                del self._readers[task_id]

    def flush_interval(self, task_id: str) -> float:
        """How long a writer of this task's log should gather, in seconds."""
        return WATCHED if task_id in self._readers else UNWATCHED
