"""`batuta admin health` says what a container or a balancer needs to know."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from batuta_chassis.service import Service
from batuta_chassis.settings import Settings
from batuta_chassis.testing import running
from batuta_rpc.clock import Clock, SystemClock
from batuta_rpc.ids import Ids
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
    assert absent == (1, f"{url}: UNREACHABLE\n")
    assert bad[0] == 1
    assert "begins with http:// or https://" in bad[1]


async def test_a_certificate_for_another_name_is_accepted_under_that_name_only(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    write_certificate(cert, key, "batuta.example.com")
    async with running(nothing, tmp_path / "data", tls_cert=str(cert), tls_key=str(key)) as server:
        url = server.settings.endpoint
        named, unnamed = await asyncio.gather(
            asked(url, "--certificate-name", "batuta.example.com", GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=str(cert)),
            asked(url, "--timeout", "2", GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=str(cert)),
        )
    assert named == (0, f"{url}: SERVING\n")
    assert unnamed[0] == 1
    assert f"{url}: UNREACHABLE\n" in unnamed[1]


def write_certificate(cert: Path, key: Path, host: str) -> None:
    """A certificate for `host` that signs itself."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = SystemClock().now()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(private, hashes.SHA256())
    )
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
