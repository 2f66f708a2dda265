"""A deployment of several processes, and the servers that it needs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tools.redis_server import RedisServer

from .deployment import Deployment


@pytest.fixture
def redis() -> Generator[RedisServer]:
    """A Redis server of this test."""
    with RedisServer() as server:
        yield server


@pytest.fixture
async def deployment(tmp_path: Path, new_database: Callable[[], str], redis: RedisServer) -> AsyncGenerator[Deployment]:
    """Nothing is started yet; all that is will be ended."""
    async with AsyncExitStack() as stack:
        yield Deployment(tmp_path, new_database(), redis.url, stack)
