"""`batuta admin health` says what a container or a balancer needs to know."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from batuta_chassis.service import Service
from batuta_chassis.settings import Settings
from batuta_chassis.testing import running
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids
from tests.pki import Pki
from tools.ports import free_port


def nothing(settings: Settings, clock: Clock, ids: Ids) -> Service:
    """A service without servicers; the chassis adds its own."""
    return Service(settings.service, ())


async def asked(*words: str, **environment: str) -> tuple[int, str]:
    """Exit status and output of the command, as a container runs it."""
    command = [sys.executable, "-m", "batuta", "admin", "health", *words]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


async def test_a_server_that_serves_is_healthy_and_a_service_it_does_not_have_is_not(tmp_path: Path) -> None:
    async with running(nothing, tmp_path) as server:
        url = server.settings.endpoint
        whole, known, unknown = await asyncio.gather(
            asked(url),
            asked(url, "--service", "batuta.system.v1.SystemService", "--json"),
            asked(url, "--service", "x"),
        )
    assert whole == (0, f"{url}: SERVING\n")
    assert known[0] == 0
    assert '"status": "SERVING"' in known[1]
    assert unknown == (1, f"{url}: SERVICE_UNKNOWN\n")


async def test_nobody_there_is_unreachable_and_a_bad_address_says_so() -> None:
    url = f"127.0.0.1:{free_port()}"
    absent, bad = await asyncio.gather(asked(url, "--timeout", "2"), asked("ftp://here"))
    assert absent[0] == 1
    assert absent[1].startswith(f"{url}: UNREACHABLE\n")
    assert "does not answer" in absent[1]
    assert bad[0] == 1
    assert "begins with http:// or https://" in bad[1]


async def test_a_certificate_for_another_name_is_accepted_under_that_name_only(tmp_path: Path) -> None:
    pki = Pki()
    ca = str(pki.file(tmp_path))
    files = pki.files(tmp_path / "tls", names=["batuta.example.com"])
    async with running(nothing, tmp_path / "data", **files) as server:
        url = server.settings.endpoint
        named, by_roots, unnamed, unknown = await asyncio.gather(
            asked(url, "--certificate-name", "batuta.example.com", BATUTA_CA_FILE=ca),
            asked(url, "--certificate-name", "batuta.example.com", GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=ca),
            asked(url, "--timeout", "2", "--ca-file", ca),
            asked(url, "--timeout", "2"),
        )
    assert named == by_roots == (0, f"{url}: SERVING\n")
    assert unnamed[0] == unknown[0] == 1
    assert f"{url}: UNREACHABLE\n" in unnamed[1]
    assert "for other names than this one" in unnamed[1]
    assert "no authority known here has signed" in unknown[1]


async def test_a_port_for_agents_is_healthy_to_whoever_has_the_keys_of_the_server(tmp_path: Path) -> None:
    def for_agents(settings: Settings, clock: Clock, ids: Ids) -> Service:
        return Service(settings.service, (), for_agents=True)

    async with running(for_agents, tmp_path, tls="generated", agent_certificates=True) as server:
        url, keys = server.settings.endpoint, str(tmp_path / "keys")
        inside, outside, nowhere = await asyncio.gather(
            asked(url, "--keys-dir", keys),
            asked(url, "--timeout", "2", "--ca-file", f"{keys}/ca.pem"),
            asked(url, "--keys-dir", str(tmp_path / "none")),
        )
    assert inside == (0, f"{url}: SERVING\n")
    assert outside[0] == 1
    assert "it may want a certificate of an agent" in outside[1]
    assert nowhere[0] == 1
    assert "holds no authority" in nowhere[1]
