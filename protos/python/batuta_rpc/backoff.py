"""Waiting between tries: windows that double, one try at a random point of each."""

from __future__ import annotations

from batuta_rpc.ids import Ids

LONGEST_ASKED = 300.0
"""Seconds: a server that asks for more is asked again after so many."""


class BackoffExhausted(Exception):
    """All tries that were allowed have been used."""


class Backoff:
    """Windowed full jitter.

    Try n happens at a uniformly random point of window n; windows follow each other without gaps and double from
    `first` to `cap` seconds. So a crowd that lost the same server at the same moment spreads out, while one client
    never tries more than once per window.
    """

    def __init__(self, ids: Ids, first: float = 0.1, cap: float = 8.0, limit: int | None = None) -> None:
        """`first` and `cap` are seconds; `limit` is how many waits there may be before `next` refuses."""
        if first <= 0 or cap < first:
            raise ValueError(f"a backoff needs 0 < first <= cap, not first={first}, cap={cap}")
        self._ids = ids
        self._first = first
        self._cap = cap
        self._limit = limit
        self._tries = 0
        self._rest = 0.0

    @property
    def tries(self) -> int:
        """How many waits were handed out since the start or the last `reset`."""
        return self._tries

    def next(self, asked: float | None = None) -> float:
        """Seconds to wait before the next try. Raises `BackoffExhausted` after `limit` of them.

        `asked`: what the server's RetryInfo said, if it said anything. The try is never earlier, and its jitter comes
        on top: all whom a server sent away at once would otherwise come back at once.
        """
        if self._limit is not None and self._tries >= self._limit:
            raise BackoffExhausted(f"gave up after {self._tries} tries")
        # min() on the exponent first: a server that is away for days must not raise 2.0 to a huge power.
        window = min(self._cap, self._first * 2.0 ** min(self._tries, 64))
        point = self._ids.uniform(0.0, window)
        wait = self._rest + point
        self._rest = window - point
        self._tries += 1
        return wait + min(asked or 0.0, LONGEST_ASKED)

    def reset(self) -> None:
        """Begin again at the first window: the last try was a success that lived."""
        self._tries = 0
        self._rest = 0.0
