"""The HTTP port: who may read what, what it says of a service's health, and that it bears nonsense."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from batuta_chassis.meters import Family
from batuta_chassis.service import Service
from batuta_chassis.settings import Settings, SettingsError
from batuta_chassis.testing import Running, running
from batuta_proto.system import v1 as system
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids


class Broken:
    """A meter whose database is away."""

    async def read(self) -> list[Family]:
        raise OSError("away")


def build(_settings: Settings, _clock: Clock, _ids: Ids) -> Service:
    return Service("scripted", (), meters=[Broken()])


@asynccontextmanager
async def watched(folder: Path, **settings: Any) -> AsyncGenerator[Running]:
    chosen: dict[str, Any] = {"metrics_listen": "127.0.0.1:0", **settings}
    async with running(build, folder, service="scripted", **chosen) as service:
        yield service


async def said(address: str, request: bytes) -> bytes:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return answer


async def get(address: str, path: str, *headers: str, method: str = "GET") -> tuple[int, str]:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]
    head, _, body = (await said(address, "\r\n".join(lines).encode())).decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


async def test_without_the_setting_nothing_listens(tmp_path: Path) -> None:
    async with running(build, tmp_path, service="scripted") as service:
        assert service.process.metrics_address == ""


async def test_calls_show_in_the_metrics(tmp_path: Path) -> None:
    async with watched(tmp_path) as service:
        await system.SystemServiceStub(service.channel()).GetServerInfo(system.GetServerInfoRequest())
        status, page = await get(service.process.metrics_address, "/metrics?x=1")
    assert status == 200
    assert (
        'batuta_rpc_total{code="OK",method="batuta.system.v1.SystemService/GetServerInfo",service="scripted"} 1.0'
        in page
    )
    assert "batuta_build_info" in page


async def test_numbers_that_cannot_be_read_do_not_take_the_others_along(tmp_path: Path) -> None:
    async with watched(tmp_path) as service:
        status, page = await get(service.process.metrics_address, "/metrics")
    assert (status, "batuta_rpc_open" in page) == (200, True)


async def test_metrics_ask_for_the_token_and_health_does_not(tmp_path: Path) -> None:
    async with watched(tmp_path, metrics_token="s3cret") as service:
        address = service.process.metrics_address
        assert (await get(address, "/metrics"))[0] == 401
        assert (await get(address, "/metrics", "Authorization: Bearer wrong"))[0] == 401
        assert (await get(address, "/metrics", "authorization: Bearer s3cret"))[0] == 200
        assert await get(address, "/healthz") == (200, "ok\n")
        assert await get(address, "/readyz") == (200, "ok\n")


async def test_only_these_three_pages_exist_and_only_for_reading(tmp_path: Path) -> None:
    async with watched(tmp_path) as service:
        address = service.process.metrics_address
        for path in ("/", "/healthz/", "/metrics/../healthz", "/debug", "/HEALTHZ"):
            assert (await get(address, path))[0] == 404, path
        assert (await get(address, "/metrics", method="POST"))[0] == 405
        assert await get(address, "/healthz", method="HEAD") == (200, "")


@pytest.mark.parametrize("nonsense", [b"\x16\x03\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"\r\n\r\n", b"x" * 20_000])
async def test_nonsense_ends_its_own_connection_only(tmp_path: Path, nonsense: bytes) -> None:
    async with watched(tmp_path) as service:
        address = service.process.metrics_address
        try:
            answer = await said(address, nonsense)
        except ConnectionError:
            answer = b""
        assert not answer.startswith(b"HTTP/1.1 200")
        assert (await get(address, "/healthz"))[0] == 200


async def test_a_service_that_ends_is_alive_and_not_ready(tmp_path: Path) -> None:
    seen: list[tuple[int, str]] = []
    pages: list[str] = []

    def build_ending(_settings: Settings, _clock: Clock, _ids: Ids) -> Service:
        async def drained() -> None:
            seen.extend([await get(pages[0], path) for path in ("/healthz", "/readyz")])

        return Service("scripted", (), on_drain=drained)

    async with running(build_ending, tmp_path, service="scripted", metrics_listen="127.0.0.1:0") as service:
        pages.append(service.process.metrics_address)
    assert seen == [(200, "ok\n"), (503, "not serving\n")]
    with pytest.raises(OSError):
        await get(pages[0], "/healthz")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"metrics_listen": "9480"}, "metrics_listen is HOST:PORT"),
        ({"metrics_listen": "127.0.0.1:99999"}, "metrics_listen is HOST:PORT"),
        ({"metrics_listen": "0.0.0.0:9480"}, "set metrics_token"),
        ({"metrics_listen": "0.0.0.0:9480", "metrics_token": "x"}, "no TLS"),
    ],
)
def test_metrics_for_everybody_are_refused(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings("queue", tmp_path, **settings)
    assert words in str(caught.value)


async def test_a_port_that_is_taken_is_one_clear_error(tmp_path: Path) -> None:
    async with watched(tmp_path / "one") as service:
        with pytest.raises(SettingsError, match="for /metrics"):
            async with watched(tmp_path / "two", metrics_listen=service.process.metrics_address):
                pass
