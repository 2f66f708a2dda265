"""The certificate with which an agent dials: got by its credential, kept, and replaced before its end."""

from __future__ import annotations

import stat
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from batuta_agent.certificates import GivenCertificate, IssuedCertificate
from batuta_api.__main__ import build as build_api
from batuta_chassis.testing import Running, running
from batuta_rpc.channel import open_aio
from batuta_rpc.clock import SystemClock
from batuta_rpc.config import ConfigError, Connection, read_connection
from batuta_rpc.errors import Unavailable
from batuta_rpc.testing import FakeClock
from batuta_rpc.trust import Trust
from tests.pki import Pki

DAY = timedelta(days=1).total_seconds()


class Bench:
    """An API that signs, and what an agent on this machine has."""

    def __init__(self, api: Running, folder: Path) -> None:
        self.api = api
        self.login: Connection = read_connection(api.settings.data_dir / "agent.credentials")
        self.clock = FakeClock(SystemClock().now())
        self.files = folder / "AK.pem", folder / "AK.key"
        self.channel: Any = open_aio(self.login.api, None, "test", trust=self.login.trust, retries=False)

    def agent(self, *, wanted: bool = True) -> IssuedCertificate:
        """An agent process that has just started."""
        return IssuedCertificate(self.login, self.files, self.channel, self.clock, wanted=wanted)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncGenerator[Bench]:
    settings: dict[str, Any] = {"tls": "generated", "agent_certificates": True}
    async with running(build_api, tmp_path / "api", service="api", **settings) as api:
        made = Bench(api, tmp_path)
        yield made
        await made.channel.close()


async def test_a_certificate_is_got_once_and_kept_with_its_key_for_nobody_else(bench: Bench) -> None:
    first = await bench.agent().trust(refused=False)
    assert first.certificate.startswith(b"-----BEGIN CERTIFICATE-----")
    assert first.key.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert first.authorities == bench.login.trust.authorities
    assert {stat.S_IMODE(each.stat().st_mode) for each in bench.files} == {0o600}
    assert await bench.agent().trust(refused=False) == first


async def test_a_certificate_is_renewed_within_the_last_third_of_its_life(bench: Bench) -> None:
    agent = bench.agent()
    first = await agent.trust(refused=False)
    bench.clock.advance(59 * DAY)
    assert await agent.trust(refused=False) == first
    bench.clock.advance(2 * DAY)
    second = await agent.trust(refused=False)
    assert second.certificate != first.certificate
    assert second.key != first.key


async def test_a_server_that_is_away_is_waited_for_as_long_as_the_certificate_is_good(bench: Bench) -> None:
    agent = bench.agent()
    first = await agent.trust(refused=False)
    await bench.api.process.stop(grace=0)
    bench.clock.advance(80 * DAY)
    assert await agent.trust(refused=False) == first
    bench.clock.advance(20 * DAY)
    with pytest.raises(Unavailable):
        await agent.trust(refused=False)


async def test_one_who_is_refused_gets_a_new_certificate_once(bench: Bench) -> None:
    first = await bench.agent().trust(refused=False)
    again = bench.agent()
    second = await again.trust(refused=True)
    assert second.certificate != first.certificate
    assert await again.trust(refused=True) == second


async def test_none_is_asked_for_until_the_server_wants_one(bench: Bench) -> None:
    agent = bench.agent(wanted=False)
    assert await agent.trust(refused=False) == bench.login.trust
    assert (await agent.trust(refused=True)).certificate != b""  # the server has been started with other settings since


async def test_files_of_the_operators_own_are_read_at_each_connection(tmp_path: Path) -> None:
    pki = Pki()
    given = GivenCertificate(Trust(pki.pem), tmp_path / "agent.pem", tmp_path / "agent.key")
    with pytest.raises(ConfigError, match=r"cannot read .*agent\.pem .*--certificate"):
        await given.trust(refused=False)
    for _ in range(2):
        chain, key = pki.issue("gpu1:0", names=[])
        (tmp_path / "agent.pem").write_bytes(chain)
        (tmp_path / "agent.key").write_bytes(key)
        assert await given.trust(refused=False) == Trust(pki.pem, chain, key)
