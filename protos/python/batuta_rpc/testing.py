"""Fakes of time and chance for tests. They keep the promises of `Clock` and `Ids`."""

from __future__ import annotations

import asyncio
import heapq
import random
import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from batuta_rpc.ids import uuid7_hex

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


class FakeClock:
    """A clock that moves only when a test moves it.

    `advance` and `run_for` wake sleepers in the order in which their time comes. Sleepers may live in any event loop
    or thread.
    """

    def __init__(self, start: datetime = START, *, auto: bool = False) -> None:
        """With `auto`, a blocking sleep moves the clock itself instead of waiting for a test to do so."""
        self._start = start
        self._elapsed = 0.0
        self._auto = auto
        self._sequence = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._moved = threading.Condition()

    def now(self) -> datetime:
        """The start plus all that was advanced."""
        return self._start + timedelta(seconds=self._elapsed)

    def unix_millis(self) -> int:
        """`now()` in milliseconds since 1970-01-01T00:00:00Z."""
        return round(self.now().timestamp() * 1000)

    def unix_nanos(self) -> int:
        """`unix_millis()` in nanoseconds."""
        return self.unix_millis() * 1_000_000

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._elapsed

    def boottime(self) -> float:
        """Seconds advanced so far."""
        return self._elapsed

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back without anything having taken time: what a wrong NTP server does."""
        self._start += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        """Wait until a test has advanced the clock by so many seconds."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._moved:
            self._sequence += 1
            heapq.heappush(self._sleepers, (self._elapsed + seconds, self._sequence, future))
        await future

    def sleep_blocking(self, seconds: float) -> None:
        """Hold the thread until a test has advanced the clock by so many seconds (or move it, with `auto`)."""
        if self._auto:
            self.advance(max(0.0, seconds))
            return
        with self._moved:
            due = self._elapsed + seconds
            self._moved.wait_for(lambda: self._elapsed >= due)

    @property
    def sleepers(self) -> int:
        """How many tasks sleep in `sleep` now."""
        with self._moved:
            return sum(1 for _, _, future in self._sleepers if not future.done())

    def advance(self, seconds: float) -> None:
        """Move time and wake everybody whose time has come. What they do runs when the caller next awaits."""
        self._move_to(self._elapsed + seconds)

    async def run_for(self, seconds: float) -> None:
        """Move time step by step and let the woken run at each: a loop of short sleeps runs its whole course."""
        end = self._elapsed + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._move_to(max(self._elapsed, self._sleepers[0][0]))
            await settle()
        self._move_to(end)
        await settle()

    def _move_to(self, elapsed: float) -> None:
        with self._moved:
            self._elapsed = elapsed
            while self._sleepers and self._sleepers[0][0] <= elapsed:
                _wake(heapq.heappop(self._sleepers)[2])
            self._moved.notify_all()


def _wake(future: asyncio.Future[None]) -> None:
    def finish() -> None:
        if not future.done():
            future.set_result(None)

    loop = future.get_loop()
    if loop.is_closed():
        return
    try:
        here = asyncio.get_running_loop() is loop
    except RuntimeError:
        here = False
    if here:
        finish()
    else:
        loop.call_soon_threadsafe(finish)


async def settle(rounds: int = 20) -> None:
    """Give way to the event loop a few times, so that tasks that can run do."""
    for _ in range(rounds):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until `condition` holds, looking often. Raises `AssertionError` after so many seconds of real time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        if condition():
            return
        assert loop.time() < end, f"what was waited for did not happen within {seconds:g} s"
        await asyncio.sleep(0.002)


class SeededIds:
    """Ids that are the same in every run with the same seed. `new_id` still sorts by the order of the calls."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._nanos = int(START.timestamp()) * 1_000_000_000

    def new_id(self) -> str:
        """The next resource id; each is one millisecond later than the one before."""
        self._nanos += 1_000_000
        return uuid7_hex(self._nanos, self._random.getrandbits(62))

    def request_id(self) -> str:
        """The next request id, a UUID (version 4) with dashes."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def secret(self, nbytes: int = 32) -> str:
        """The next secret: `nbytes` bytes as hex digits."""
        return f"{self._random.getrandbits(8 * nbytes):0{2 * nbytes}x}"

    def uniform(self, low: float, high: float) -> float:
        """The next number between `low` and `high`."""
        return self._random.uniform(low, high)
