"""Wake-ups through a real Redis that is flushed, stopped and started again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from batuta_chassis.bus import LOOK_AGAIN, LOOK_AGAIN_CONNECTED, Polling, open_bus
from batuta_chassis.redis_bus import RedisBus
from batuta_chassis.settings import Settings, SettingsError
from batuta_rpc.clock import SystemClock
from batuta_rpc.ids import SystemIds
from batuta_rpc.testing import until
from tools.redis_server import RedisServer

POSTGRES = "postgresql://batuta@127.0.0.1/batuta"


@pytest.fixture
def redis() -> Generator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
async def buses(redis: RedisServer) -> AsyncGenerator[tuple[RedisBus, RedisBus]]:
    made = [RedisBus(redis.url, "test", SystemClock(), SystemIds()) for _ in range(2)]
    running = [asyncio.create_task(each.run()) for each in made]
    await until(lambda: all(each.up for each in made))
    yield made[0], made[1]
    for each in running:
        each.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_a_topic_reaches_the_others_and_not_its_sender(buses: tuple[RedisBus, RedisBus]) -> None:
    here, there = buses
    own: list[str] = []
    heard: list[str] = []
    here.listen(own.append)
    there.listen(heard.append)
    for number in range(2_000):
        here.send(f"queue:{number}")
    await until(lambda: len(heard) == 2_000)
    assert heard[-1] == "queue:1999"
    assert own == []


async def test_a_redis_that_goes_and_comes_costs_what_is_said_meanwhile(
    buses: tuple[RedisBus, RedisBus], redis: RedisServer
) -> None:
    here, there = buses
    heard: list[str] = []
    there.listen(heard.append)
    redis.flush()
    here.send("after the flush")
    await until(lambda: heard == ["after the flush"])
    redis.stop()
    await until(lambda: not here.up and not there.up)
    assert here.look_again == LOOK_AGAIN
    here.send("into nothing")
    redis.start()
    await until(lambda: here.up and there.up)
    assert here.look_again == LOOK_AGAIN_CONNECTED
    here.send("again")
    await until(lambda: heard == ["after the flush", "again"])


def test_a_service_has_the_bus_that_its_settings_name(tmp_path: Path) -> None:
    def opened(**settings: str) -> object:
        return open_bus(Settings("queue", tmp_path, **settings), SystemClock(), SystemIds())  # type: ignore[arg-type]

    assert opened() is None
    assert isinstance(opened(database_url=POSTGRES), Polling)
    with pytest.raises(SettingsError, match="redis_url cannot be read"):
        opened(database_url=POSTGRES, redis_url="http://127.0.0.1:6379")
