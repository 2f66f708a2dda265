"""How often somebody may fail to log in."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from batuta_rpc.clock import Clock
from batuta_rpc.errors import RateLimited


@dataclass
class _Bucket:
    left: float
    seen: float


class Failures:
    """Counts failures by whoever fails. After `burst` of them one more is allowed every `period` seconds.

    Only failures count: a script that logs in a thousand times rightly is not stopped. The key names the caller's
    address too, so that nobody can lock somebody else out.
    """

    def __init__(self, clock: Clock, burst: int = 10, period: float = 3.0, limit: int = 10_000) -> None:
        """`limit` bounds how many keys are remembered; the one not seen for longest is forgotten first."""
        self._clock = clock
        self._burst = burst
        self._period = period
        self._limit = limit
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def check(self, *keys: str) -> None:
        """Raise `RateLimited` when one of the keys has failed too often."""
        for key in keys:
            bucket = self._refilled(key)
            if bucket is not None and bucket.left < 1.0:
                wait = round((1.0 - bucket.left) * self._period, 1)
                raise RateLimited(
                    f"too many failed logins; wait {wait} s and check the credential", retry_delay=wait, wait=wait
                )

    def add(self, *keys: str) -> None:
        """Count a failure of each key."""
        for key in keys:
            bucket = self._refilled(key) or _Bucket(self._burst, self._clock.monotonic())
            bucket.left = max(0.0, bucket.left - 1.0)
            self._buckets[key] = bucket
            self._buckets.move_to_end(key)
        while len(self._buckets) > self._limit:
            self._buckets.popitem(last=False)

    def _refilled(self, key: str) -> _Bucket | None:
        bucket = self._buckets.get(key)
        if bucket is None:
            return None
        now = self._clock.monotonic()
        bucket.left = min(self._burst, bucket.left + (now - bucket.seen) / self._period)
        bucket.seen = now
        return bucket
