"""Time, in one place: every other module is handed a `Clock` and asks it.

Four clocks are kept apart because they answer different questions:

* `now()` and `unix_millis()`: wall time, for what people read. It may jump.
* `monotonic()`: seconds since some start, for timeouts inside one process. It stands still while the host is suspended.
* `boottime()`: seconds since the host started, suspension included. Leases use it: a laptop that slept must notice.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable

T = TypeVar("T")


class Clock(Protocol):
    """What the rest of the project may know about time. All durations are seconds."""

    def now(self) -> datetime:
        """Wall time, timezone-aware, UTC."""
        ...

    def unix_millis(self) -> int:
        """Wall time in milliseconds since 1970-01-01T00:00:00Z."""
        ...

    def unix_nanos(self) -> int:
        """Wall time in nanoseconds since 1970-01-01T00:00:00Z; as quick to read as time can be."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; comparable within one process only."""
        ...

    def boottime(self) -> float:
        """Seconds since the host started, including time it was suspended; comparable within one boot."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run for so many seconds. Zero or less gives way once."""
        ...

    def sleep_blocking(self, seconds: float) -> None:
        """Hold the calling thread for so many seconds."""
        ...


class SystemClock:
    """The clock of the machine."""

    unix_nanos = staticmethod(time.time_ns)

    def now(self) -> datetime:
        """Wall time, timezone-aware, UTC."""
        return datetime.now(timezone.utc)

    def unix_millis(self) -> int:
        """Wall time in milliseconds since 1970-01-01T00:00:00Z."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that never go back; comparable within one process only."""
        return time.monotonic()

    def boottime(self) -> float:
        """Seconds since the host started, suspension included where the system can tell (Linux)."""
        boot = getattr(time, "CLOCK_BOOTTIME", None)
        return time.monotonic() if boot is None else time.clock_gettime(boot)

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run for so many seconds. Zero or less gives way once."""
        import asyncio  # here: the SDK and the shim take the clock and have no event loop

        await asyncio.sleep(max(0.0, seconds))

    def sleep_blocking(self, seconds: float) -> None:
        """Hold the calling thread for so many seconds."""
        time.sleep(max(0.0, seconds))


async def within(clock: Clock, seconds: float, awaitable: Awaitable[T]) -> T:
    """Await `awaitable` for at most so many seconds of `clock`.

    Raises `asyncio.TimeoutError` when the time is over first; what was awaited is then cancelled and awaited.
    Whatever `awaitable` raises passes through.
    """
    import asyncio

    work: asyncio.Future[T] = asyncio.ensure_future(awaitable)
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        both: set[asyncio.Future[Any]] = {work, timer}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise asyncio.TimeoutError(f"nothing happened within {seconds:g} s")
    finally:
        await _end(timer)
        await _end(work)


async def _end(future: asyncio.Future[T]) -> None:
    import asyncio

    if not future.done():
        future.cancel()
        await asyncio.wait({future})
    if not future.cancelled():
        future.exception()  # taken, so that asyncio does not report it as never retrieved
