"""TLS on every port: what a server shows, what is renewed and replaced while it serves, and what each mistake says."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import stat
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from grpc_health.v1 import health_pb2, health_pb2_grpc

from batuta_chassis.authority import Authority
from batuta_chassis.service import Service
from batuta_chassis.settings import Settings, SettingsError
from batuta_chassis.testing import running
from batuta_proto.system import v1 as system
from batuta_rpc import trust
from batuta_rpc.channel import open_aio, open_raw_aio
from batuta_rpc.clock import Clock, SystemClock
from batuta_rpc.errors import Unavailable
from batuta_rpc.ids import Ids
from batuta_rpc.pinning import authority_of, fingerprints
from batuta_rpc.testing import FakeClock
from batuta_rpc.trust import PUBLIC, Trust
from tests.pki import DAY, Pki

NOW = SystemClock()


def nothing(settings: Settings, clock: Clock, ids: Ids) -> Service:
    """A service without servicers; the chassis adds its own."""
    return Service(settings.service, ())


async def asked(url: str, trusting: Trust) -> str:
    """What a server says its name is, over a new connection."""
    async with open_aio(url, None, "test", trust=trusting, retries=False) as channel:
        return (await system.SystemServiceStub(channel).GetServerInfo(system.GetServerInfoRequest())).service


def shown(url: str, highest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED) -> x509.Certificate:
    """The certificate that a server shows to a new connection; nothing of it is checked."""
    host, port = url.removeprefix("https://").rsplit(":", 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = highest
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection((host, int(port))) as raw, context.wrap_socket(raw) as connection:
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")


async def test_the_first_start_makes_an_authority_that_only_its_owner_can_use_and_later_starts_keep_it(
    tmp_path: Path,
) -> None:
    async with running(nothing, tmp_path, tls="generated", tls_names="batuta.example.org, 192.0.2.7") as server:
        pem = (tmp_path / "keys" / "ca.pem").read_bytes()
        assert await asked(server.settings.endpoint, Trust(pem)) == "test"
        leaf = await asyncio.to_thread(shown, server.settings.endpoint)
    private = tmp_path / "keys" / "ca.key"
    ca = x509.load_pem_x509_certificate(pem)
    key = load_pem_private_key(private.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert timedelta(days=3649) < ca.not_valid_after_utc - NOW.now() < timedelta(days=3651)
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= timedelta(days=397)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    hosts = names.get_values_for_type(x509.DNSName)
    assert {"localhost", "batuta.example.org"} <= set(hosts)
    assert {"127.0.0.1", "192.0.2.7"} <= {str(each) for each in names.get_values_for_type(x509.IPAddress)}
    async with running(nothing, tmp_path, tls="generated") as again:
        assert await asked(again.settings.endpoint, Trust(pem)) == "test"


def test_services_that_start_at_the_same_time_make_one_authority(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: Authority.load_or_create(tmp_path, NOW).pem, range(8)))
    assert set(made) == {(tmp_path / "ca.pem").read_bytes()}
    assert sorted(each.name for each in tmp_path.iterdir()) == ["ca.key", "ca.pem"]


def test_an_authority_that_has_ended_or_is_none_says_what_to_do(tmp_path: Path) -> None:
    clock = FakeClock(NOW.now())
    Authority.load_or_create(tmp_path, clock)
    clock.advance(timedelta(days=3651).total_seconds())
    with pytest.raises(SettingsError, match=r"has ended on .*move ca\.key and ca\.pem away"):
        Authority.load_or_create(tmp_path, clock)
    (tmp_path / "ca.key").write_text("something else")
    with pytest.raises(SettingsError, match=r"is no authority that this service has made"):
        Authority.load_or_create(tmp_path, clock)


def health_over_https(address: str, authority: bytes) -> int:
    """The status of the HTTP port's `/healthz`, its certificate checked."""
    context = ssl.create_default_context(cadata=authority.decode())
    with urllib.request.urlopen(f"https://{address}/healthz", context=context, timeout=20) as answer:
        return int(answer.status)


@pytest.mark.parametrize("generated", [True, False])
async def test_the_http_port_shows_the_same_certificate_and_its_successors(tmp_path: Path, generated: bool) -> None:
    clock, own = FakeClock(NOW.now()), Pki()
    settings: dict[str, Any] = {"tls": "generated"} if generated else own.files(tmp_path / "tls")
    listen = {"metrics_listen": "127.0.0.1:0"}
    async with running(nothing, tmp_path / "data", clock=clock, **listen, **settings) as server:
        address = server.process.metrics_address
        authority = (tmp_path / "data" / "keys" / "ca.pem").read_bytes() if generated else own.pem
        assert await asyncio.to_thread(health_over_https, address, authority) == 200
        before = await asyncio.to_thread(shown, f"https://{address}")
        if generated:
            clock.advance(61 * DAY.total_seconds())
        else:
            own.files(tmp_path / "tls")
        assert (await asyncio.to_thread(shown, f"https://{address}")).serial_number != before.serial_number
    assert not list((tmp_path / "data").glob(".tls.*"))


class Held:
    """A stream that stays open on one connection."""

    def __init__(self, url: str, trusting: Trust) -> None:
        self._channel = open_raw_aio(url, trust=trusting)
        stub: Any = health_pb2_grpc.HealthStub(self._channel)  # its stubs do not know the asynchronous one
        self._call = stub.Watch(health_pb2.HealthCheckRequest())

    async def hears(self) -> int:
        answer: Any = await asyncio.wait_for(self._call.read(), 20)
        return int(answer.status)

    async def close(self) -> None:
        self._call.cancel()
        await self._channel.close()


async def test_a_generated_certificate_is_renewed_before_its_end_and_no_connection_is_cut(tmp_path: Path) -> None:
    clock = FakeClock(NOW.now())
    async with running(nothing, tmp_path, tls="generated", clock=clock) as server:
        url = server.settings.endpoint
        held = Held(url, Trust((tmp_path / "keys" / "ca.pem").read_bytes()))
        before = await held.hears()
        first = await asyncio.to_thread(shown, url)
        clock.advance(59 * DAY.total_seconds())
        assert (await asyncio.to_thread(shown, url)).serial_number == first.serial_number
        clock.advance(2 * DAY.total_seconds())
        second = await asyncio.to_thread(shown, url)
        assert second.serial_number != first.serial_number
        assert second.not_valid_after_utc > first.not_valid_after_utc
        stopping = asyncio.ensure_future(server.process.stop(grace=10))
        assert await held.hears() != before  # that the server goes away was told over the old connection
        await held.close()
        await stopping


async def replaced(path: str, data: bytes) -> None:
    """Put a file in the place of another one, as tools that renew certificates do."""
    fresh = Path(f"{path}.new")
    await asyncio.to_thread(fresh.write_bytes, data)
    await asyncio.to_thread(os.replace, fresh, path)


async def test_files_that_are_replaced_are_shown_to_new_connections_and_the_old_ones_go_on(tmp_path: Path) -> None:
    old, new = Pki("old"), Pki("new")
    settings = old.files(tmp_path / "tls")
    async with running(nothing, tmp_path / "data", **settings) as server:
        url = server.settings.endpoint
        held = Held(url, Trust(old.pem))
        before = await held.hears()
        chain, key = new.issue()
        await replaced(settings["tls_cert"], chain)  # half of it: the key is still another's
        assert await asked(url, Trust(old.pem)) == "test"
        await replaced(settings["tls_key"], key)
        assert await asked(url, Trust(new.pem)) == "test"
        with pytest.raises(Unavailable, match="no authority known here has signed"):
            await asked(url, Trust(old.pem))
        stopping = asyncio.ensure_future(server.process.stop(grace=10))
        assert await held.hears() != before
        await held.close()
        await stopping


async def test_each_mistake_about_tls_is_one_error_that_says_what_to_do(tmp_path: Path) -> None:
    pki = Pki()
    earlier = FakeClock(NOW.now() - 5 * DAY)
    good = running(nothing, tmp_path / "a", **pki.files(tmp_path / "good"))
    ended = running(nothing, tmp_path / "b", **pki.files(tmp_path / "ended", good_for=-DAY), clock=earlier)
    named = running(nothing, tmp_path / "c", **pki.files(tmp_path / "named", names=["batuta.example.org"]))
    plain = running(nothing, tmp_path / "d")
    async with good as one, ended as two, named as three, plain as four:
        cases = [
            (one.settings.endpoint, PUBLIC, "no authority known here has signed.*BATUTA_CA_FILE.*--ca-fingerprint"),
            (one.settings.endpoint, Trust(Pki().pem), "no authority known here has signed.*BATUTA_CA_FILE"),
            (one.settings.endpoint, Trust(Pki("another").pem), "no authority known here has signed.*BATUTA_CA_FILE"),
            (two.settings.endpoint, Trust(pki.pem), "not valid now: its operator has to replace it, or the clock"),
            (three.settings.endpoint, Trust(pki.pem), "for other names than this one.*tls_names"),
            (one.address, PUBLIC, "hangs up before a word is said: it may speak TLS, then dial it with https://"),
            (f"https://{four.address}", Trust(pki.pem), "does not speak TLS: dial it with http://"),
        ]
        for url, trusting, words in cases:
            with pytest.raises(Unavailable, match=words):
                await asked(url, trusting)


async def test_nothing_older_than_tls_1_2_is_spoken(tmp_path: Path) -> None:
    async with running(nothing, tmp_path, tls="generated") as server:
        await asyncio.to_thread(shown, server.settings.endpoint, ssl.TLSVersion.TLSv1_2)
        with pytest.warns(DeprecationWarning, match="TLSv1_1"), pytest.raises(OSError, match="SSL"):
            await asyncio.to_thread(shown, server.settings.endpoint, ssl.TLSVersion.TLSv1_1)


async def test_an_authority_is_fetched_by_its_fingerprint_and_by_no_other(tmp_path: Path) -> None:
    async with running(nothing, tmp_path, tls="generated") as server:
        pem = (tmp_path / "keys" / "ca.pem").read_bytes()
        (right,) = fingerprints(pem)
        url = server.settings.endpoint
        found = await asyncio.to_thread(authority_of, url, right)
        assert await asked(url, Trust(found)) == "test"
        assert trust.unfold(trust.fold(pem)) == found == pem
        spaced = ":".join(right[7:][at : at + 2] for at in range(0, 64, 2)).upper()
        assert await asyncio.to_thread(authority_of, url, spaced) == pem
        with pytest.raises(ValueError, match=f"but {right}: it is another server"):
            await asyncio.to_thread(authority_of, url, "sha256:" + "0" * 64)
        with pytest.raises(ValueError, match="reads sha256: and 64 hex digits"):
            await asyncio.to_thread(authority_of, url, "sha1:00")
        with pytest.raises(ValueError, match="write https://"):
            await asyncio.to_thread(authority_of, server.address, right)


def test_a_certificate_that_cannot_be_shown_stops_the_start_and_says_why(tmp_path: Path) -> None:
    pki = Pki()
    ended, good, other = (pki.files(tmp_path / each) for each in ("ended", "good", "other"))
    ended = pki.files(tmp_path / "ended", good_for=-DAY)
    (tmp_path / "text").write_text("hello")
    cases = [
        (ended, "has ended on .*put a new one there"),
        ({**good, "tls_key": other["tls_key"]}, "is not that of the first certificate"),
        ({**good, "tls_cert": str(tmp_path / "text")}, "holds no certificate chain"),
        ({**good, "tls_key": str(tmp_path / "text")}, "holds no key"),
        ({**good, "tls_key": str(tmp_path / "none")}, "cannot read .*none"),
        ({"tls": "generated", "tls_names": "ü"}, "'ü' is no name"),
        ({"agent_certificates": True}, "agent_certificates needs TLS"),
    ]

    async def start(settings: dict[str, Any]) -> None:
        build = lambda settings, _clock, _ids: Service(settings.service, (), for_agents=True)  # noqa: E731
        async with running(build, tmp_path / "data", **settings):
            raise AssertionError("it serves")

    for settings, words in cases:
        with pytest.raises(SettingsError, match=words):
            asyncio.run(start(settings))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"tls": "on"}, "tls is off, own or generated, not 'on'"),
        ({"tls": "own"}, "tls=own needs the certificate"),
        ({"tls": "off", "tls_cert": "c", "tls_key": "k"}, "are for tls=own, not for tls=off"),
        ({"tls": "off", "host": "0.0.0.0"}, "Set tls=generated .* or allow_plaintext=1"),
        ({"tls_client_ca": "c"}, "no effect without agent_certificates=1"),
    ],
)
def test_settings_of_tls_that_contradict_each_other_are_refused(
    tmp_path: Path, given: dict[str, Any], says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        Settings("api", tmp_path, **given)


def test_no_program_listens_in_plain_beyond_this_machine_unless_told(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("BATUTA_")}
    beyond = ["--host", "0.0.0.0", "--port", "0"]
    programs = [
        ["batuta_api", "--data-dir"],
        ["batuta_queue", "--data-dir"],
        ["batuta_autoscaler", "--data-dir"],
        ["batuta", "up", "--no-agent", "--data"],
    ]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", *words, str(tmp_path), *beyond], env=env, stderr=subprocess.PIPE, text=True
        )
        for words in programs
    ]
    for process in started:
        _, said = process.communicate(timeout=60)
        assert process.returncode != 0
        assert "0.0.0.0 can be reached from other machines, and there is no TLS" in said
        assert "Set tls=generated (or tls_cert and tls_key), or allow_plaintext=1" in said
    assert not list(tmp_path.glob("*.db"))
