"""Wake-ups are levels, not messages: many count as one, none is lost between looking and waiting."""

from __future__ import annotations

import asyncio

import pytest

from batuta_chassis.hub import Hub
from batuta_chassis.testing import Exchange
from batuta_rpc.testing import FakeClock, settle


async def test_a_subscriber_is_woken_by_its_topic_and_by_no_other(clock: FakeClock) -> None:
    hub = Hub(clock)
    async with hub.subscribe("a") as mine, hub.subscribe("b") as other:
        hub.publish("a")
        assert await mine.wait(1)
        waiting = asyncio.create_task(other.wait(1))
        await settle()
        clock.advance(2)
        assert await waiting is False


async def test_what_was_published_before_the_wait_counts(clock: FakeClock) -> None:
    hub = Hub(clock)
    async with hub.subscribe("a") as mine:
        hub.publish("a")
        await asyncio.sleep(0)
        assert await mine.wait(0.001)


async def test_many_publications_count_as_one(clock: FakeClock) -> None:
    hub = Hub(clock)
    async with hub.subscribe("a") as mine:
        for _ in range(1_000):
            hub.publish("a")
        assert await mine.wait()
        waiting = asyncio.create_task(mine.wait(1))
        await settle()
        assert not waiting.done()
        clock.advance(1)
        assert await waiting is False


async def test_one_subscription_may_follow_several_topics(clock: FakeClock) -> None:
    hub = Hub(clock)
    async with hub.subscribe("a", "b") as mine:
        hub.publish("b")
        assert await mine.wait(1)


async def test_who_has_left_costs_nothing(clock: FakeClock) -> None:
    hub = Hub(clock, limit=1)
    for _ in range(3):
        async with hub.subscribe("a"):
            pass
    hub.publish("a")


async def test_leaking_subscriptions_are_noticed(clock: FakeClock) -> None:
    hub = Hub(clock, limit=1)
    async with hub.subscribe("a"):
        with pytest.raises(RuntimeError, match="does not leave"):
            await hub.subscribe("a").__aenter__()


async def test_a_topic_wakes_other_processes_too_and_a_local_one_does_not(clock: FakeClock) -> None:
    exchange = Exchange()
    here, there = Hub(clock), Hub(clock)
    here.connect(exchange.bus())
    there.connect(exchange.bus())
    async with there.subscribe("a", "b") as mine:
        here.publish("a")
        assert await mine.wait(0.001)
        here.wake("b")
        waiting = asyncio.create_task(mine.wait(0.001))
        await settle()
        clock.advance(0.001)
        assert await waiting is False


async def test_with_other_processes_one_looks_again_even_when_nothing_was_heard(clock: FakeClock) -> None:
    exchange = Exchange()
    exchange.cut = True
    here, there = Hub(clock), Hub(clock)
    here.connect(exchange.bus())
    there.connect(exchange.bus())
    async with there.subscribe("a") as mine:
        here.publish("a")
        waiting = asyncio.create_task(mine.wait())
        await settle()
        assert not waiting.done()
        clock.advance(1.0)
        assert await waiting is True
