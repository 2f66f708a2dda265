"""Several equal servers behind one channel: calls take turns, and go around one that is gone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from batuta_chassis.service import Service
from batuta_chassis.settings import Settings
from batuta_chassis.testing import running
from batuta_proto.system import v1 as system
from batuta_rpc.channel import open_aio
from batuta_rpc.clock import Clock
from batuta_rpc.errors import Unavailable
from batuta_rpc.ids import Ids


def _build(settings: Settings, clock: Clock, ids: Ids) -> Service:
    return Service(name="test", servicers=(), dispatch_endpoint=settings.data_dir.name)


async def test_calls_take_turns_and_go_around_a_server_that_is_gone(tmp_path: Path) -> None:
    async with running(_build, tmp_path / "one") as one, running(_build, tmp_path / "two") as two:
        channel = open_aio(f"{one.address}, {two.address}", None, "test")
        try:
            stub = system.SystemServiceStub(channel)
            await channel.channel_ready()

            async def ask() -> str:
                return (await stub.GetServerInfo(system.GetServerInfoRequest(), timeout=5)).dispatch_endpoint

            seen: Counter[str] = Counter()
            while len(seen) < 2:
                seen[await ask()] += 1
            await one.process.stop(grace=0)
            answers: Counter[str] = Counter()
            while answers["two"] < 10:
                try:
                    answers[await ask()] += 1
                except Unavailable:  # only the calls that met the end itself
                    answers["failed"] += 1
            assert answers["one"] == 0
            assert answers["failed"] <= 2
        finally:
            await channel.close()


async def test_an_address_that_cannot_be_read_is_named_though_others_can() -> None:
    with pytest.raises(ValueError, match="ftp"):
        open_aio("127.0.0.1:1,ftp://x", None, "test")
