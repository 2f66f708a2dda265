"""Background work is restarted when it breaks, and ended with the service."""

from __future__ import annotations

import asyncio

from batuta_chassis.background import Background
from batuta_rpc.testing import FakeClock, SeededIds, settle


async def test_work_that_breaks_is_started_again_with_growing_pauses(clock: FakeClock) -> None:
    starts: list[float] = []

    async def work() -> None:
        starts.append(clock.monotonic())
        raise LookupError

    background = Background(clock, SeededIds())
    background.start([work])
    await clock.run_for(20)
    await background.stop()
    assert 4 <= len(starts) <= 12
    assert starts[-1] - starts[-2] > starts[1] - starts[0]


async def test_work_that_is_done_is_not_started_again(clock: FakeClock) -> None:
    starts: list[float] = []

    async def work() -> None:
        starts.append(clock.monotonic())

    background = Background(clock, SeededIds())
    background.start([work])
    await clock.run_for(60)
    await background.stop()
    assert len(starts) == 1


async def test_stopping_waits_for_the_work_to_clean_up(clock: FakeClock) -> None:
    cleaned = False

    async def work() -> None:
        nonlocal cleaned
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned = True

    background = Background(clock, SeededIds())
    background.start([work])
    await settle()
    await background.stop()
    assert cleaned
