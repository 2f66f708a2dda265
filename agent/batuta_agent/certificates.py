"""With what an agent dials the broker: whom it believes, and the certificate that shows who it is where one is wanted.

The key is made here and never leaves this machine. What the server signs is kept, and replaced at the first connection
within the last third of its life; a connection that stands is not cut when its certificate ends.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import ModuleType
from typing import Protocol

import grpc.aio

from batuta_agent import joining
from batuta_proto.users import v1 as users
from batuta_rpc.clock import Clock
from batuta_rpc.config import ConfigError, Connection
from batuta_rpc.errors import RpcError
from batuta_rpc.trust import Trust

_PATIENCE = 5.0
"""Seconds for an answer of the API: a broker may be well while it is not."""


class Certificates(Protocol):
    """Says what the next connection to the broker is made with."""

    async def trust(self, *, refused: bool) -> Trust:
        """Whom to believe and what to show. `refused`: the last connection did not come about.

        Raises `RpcError`, `ConfigError`.
        """
        ...


class GivenCertificate:
    """Files of an authority of the operator's own; whoever replaces them is heard at the next connection."""

    def __init__(self, trust: Trust, certificate: Path, key: Path) -> None:
        self._trust = trust
        self._files = certificate, key

    async def trust(self, *, refused: bool) -> Trust:
        """What the files hold now. Raises `ConfigError`."""
        certificate, key = (_read(each) for each in self._files)
        return self._trust._replace(certificate=certificate, key=key)


class IssuedCertificate:
    """A certificate that the server signs for our credential."""

    def __init__(
        self, connection: Connection, files: tuple[Path, Path], channel: grpc.aio.Channel, clock: Clock, *, wanted: bool
    ) -> None:
        """`files`: where certificate and key are kept. `wanted`: the broker takes no session without."""
        self._connection = connection
        self._certificate, self._key = files
        self._channel = channel
        self._clock = clock
        self._wanted = wanted
        self._fresh = False
        """Whether this process has had it signed: then being refused has another reason."""

    async def trust(self, *, refused: bool) -> Trust:
        """Whom to believe, with a certificate where one is wanted. Raises `RpcError`, `ConfigError`."""
        if refused and not self._wanted:
            with contextlib.suppress(RpcError):  # the broker may want one since it was started again
                now = await joining.broker_of(self._channel, self._connection.api, _PATIENCE)
                self._wanted = now.wants_certificate
        if not self._wanted:
            return self._connection.trust
        left = self._left()
        if left <= 1 / 3 or (refused and not self._fresh):
            try:
                await self._renew()
            except RpcError:
                if left <= 0:
                    raise
        return self._connection.trust._replace(certificate=_read(self._certificate), key=_read(self._key))

    def _left(self) -> float:
        """The share of its life that the kept certificate has left; 0: there is none that is good."""
        x509 = _cryptography()
        try:
            kept = x509.load_pem_x509_certificate(self._certificate.read_bytes())
        except (OSError, ValueError):
            return 0.0
        if not self._key.exists():
            return 0.0
        life = kept.not_valid_after_utc - kept.not_valid_before_utc
        left: float = (kept.not_valid_after_utc - self._clock.now()) / life
        return left

    async def _renew(self) -> None:
        key, request = make_request()
        answer = await users.UserServiceStub(self._channel).IssueCertificate(
            users.IssueCertificateRequest(
                access_key=self._connection.access_key,
                secret_key=self._connection.secret_key,
                certificate_request=request,
            ),
            timeout=_PATIENCE,
        )
        # Without its certificate a key is worth nothing, so a crash in between costs one more request.
        self._certificate.unlink(missing_ok=True)
        write_private(self._key, key)
        write_private(self._certificate, answer.certificate_chain.encode())
        self._fresh = True


def make_request() -> tuple[bytes, bytes]:
    """A new key (PEM), and a request for a certificate of it (PKCS #10, DER). Raises `ConfigError`."""
    x509 = _cryptography()
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    # Whom it is for says the credential; what is written into a request counts for nothing.
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), request.public_bytes(Encoding.DER)


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    scratch = path.with_name(f".{path.name}.new")
    descriptor = os.open(scratch, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)


def _read(path: Path) -> bytes:
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path} ({error.strerror}): see --certificate and --certificate-key") from error


def _cryptography() -> ModuleType:
    """Imported here: it costs time, and most agents need no certificate."""
    try:
        from cryptography import x509
    except ImportError as error:
        raise ConfigError("this server wants a certificate of each agent: pip install 'batuta[agent]'") from error
    return x509
