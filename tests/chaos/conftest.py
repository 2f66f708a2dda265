"""Worlds and deployments for the tests of this folder, and the servers that they need."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.chaos.counting import Tally
from tests.chaos.deployment import Deployment
from tests.chaos.world import World
from tests.e2e.conftest import home
from tools.redis_server import RedisServer

__all__ = ["home"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them break something."""
    for item in items:
        if "tests/chaos/" in item.path.as_posix():
            item.add_marker(pytest.mark.chaos)


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """Counts and judges runs."""
    return Tally(request.node)


@pytest.fixture
def open_world(tmp_path: Path, home: Path) -> Iterator[Callable[..., World]]:
    """Opens worlds (one broker, one API, real agents); all that is in them is ended with the test."""
    made: list[World] = []

    def make(database_url: str = "") -> World:
        made.append(World(tmp_path / f"w{len(made)}", home, database_url))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def redis() -> Generator[RedisServer]:
    """A Redis server of this test."""
    with RedisServer() as server:
        yield server


@pytest.fixture
async def deployment(tmp_path: Path, new_database: Callable[[], str], redis: RedisServer) -> AsyncGenerator[Deployment]:
    """Several processes on PostgreSQL with Redis. Nothing is started yet; all that is will be ended."""
    async with AsyncExitStack() as stack:
        yield Deployment(tmp_path, new_database(), redis.url, stack)
