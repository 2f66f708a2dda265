"""Time is injected: the fake keeps the promises of the real one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from datetime import timedelta

import pytest

from batuta_rpc.clock import SystemClock, within
from batuta_rpc.testing import START, FakeClock, settle


def test_the_wall_clock_of_the_system_is_in_utc_and_agrees_with_its_milliseconds() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert abs(clock.now().timestamp() * 1000 - clock.unix_millis()) < 5_000


def test_the_boot_clock_never_lags_behind_the_monotonic_one() -> None:
    clock = SystemClock()
    assert clock.boottime() >= clock.monotonic() - 1.0


async def test_sleepers_wake_in_the_order_of_their_time_not_of_their_calls() -> None:
    clock, woken = FakeClock(), list[str]()

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(name)

    tasks = [asyncio.create_task(sleeper("late", 5)), asyncio.create_task(sleeper("early", 1))]
    await settle()
    clock.advance(10)
    await asyncio.gather(*tasks)
    assert woken == ["early", "late"]


async def test_nobody_wakes_before_the_time() -> None:
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(5))
    await settle()
    clock.advance(4.9)
    await settle()
    assert not task.done()
    clock.advance(0.2)
    await task
    assert clock.now() == START + timedelta(seconds=5.1)


async def test_a_loop_of_short_sleeps_runs_its_course_while_time_runs() -> None:
    clock, ticks = FakeClock(), list[float]()

    async def tick() -> None:
        while True:
            await clock.sleep(1)
            ticks.append(clock.monotonic())

    task = asyncio.create_task(tick())
    await clock.run_for(3.5)
    task.cancel()
    assert ticks == [1, 2, 3]


def test_a_thread_that_sleeps_wakes_when_the_clock_is_moved() -> None:
    clock, done = FakeClock(), threading.Event()

    def work() -> None:
        clock.sleep_blocking(2)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.wait(0.01):
        clock.advance(1)
    thread.join(10)
    assert clock.monotonic() >= 2


def test_an_automatic_clock_moves_itself_when_somebody_sleeps() -> None:
    clock = FakeClock(auto=True)
    clock.sleep_blocking(30)
    assert clock.monotonic() == 30


def test_a_jump_of_the_wall_clock_takes_no_time() -> None:
    clock = FakeClock()
    clock.jump(86_400)
    assert clock.now() == START + timedelta(days=1)
    assert clock.monotonic() == 0


async def test_what_ends_in_time_gives_its_result() -> None:
    async def work() -> int:
        return 7

    assert await within(FakeClock(), 1, work()) == 7


async def test_what_takes_too_long_is_cancelled_and_reported() -> None:
    clock, cancelled = FakeClock(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    task = asyncio.create_task(within(clock, 2, work()))
    await settle()
    clock.advance(3)
    with pytest.raises(asyncio.TimeoutError):
        await task
    assert cancelled.is_set()


async def test_giving_up_a_bounded_wait_gives_up_what_it_waited_for() -> None:
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    task = asyncio.create_task(within(FakeClock(), 2, work()))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.is_set()


def test_clocks_and_ids_are_there_without_grpc() -> None:
    code = "import sys, batuta_rpc.clock, batuta_rpc.ids, batuta_rpc.backoff; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
