"""What a server shows of itself: its own files, read again when they are replaced, or what our authority signs.

gRPC asks at each handshake, so that a new certificate is shown from the next connection on, and none is cut for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, cast

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from batuta_chassis.authority import RENEW_BEFORE, Authority, Pair, same_key
from batuta_chassis.settings import GENERATED, OFF, OWN, Settings, SettingsError
from batuta_rpc import trust
from batuta_rpc.clock import Clock
from batuta_rpc.trust import Trust

_log = logging.getLogger(__name__)
_WARN_BEFORE = timedelta(days=14)


class Shown(NamedTuple):
    """What the next handshake is made with."""

    chain: bytes
    key: bytes
    agents: bytes = b""
    """The authorities whose certificates are wanted of those who dial; empty: none are."""


def server_credentials(settings: Settings, clock: Clock, *, ask_agents: bool) -> grpc.ServerCredentials | None:
    """For a port of this service; None for plaintext. `ask_agents`: only who shows a certificate gets in.

    Raises `SettingsError`.
    """
    source = shown(settings, clock, ask_agents=ask_agents)
    if source is None:
        return None
    last = source()

    def again() -> grpc.ServerCertificateConfiguration | None:
        nonlocal last
        with lock:
            now = source()
            if now == last:
                return None
            last = now
            return _configuration(now)

    lock = threading.Lock()
    fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", again)  # None: as before; the stubs do not know
    return grpc.dynamic_ssl_server_credentials(_configuration(last), fetch, require_client_authentication=ask_agents)


def shown(settings: Settings, clock: Clock, *, ask_agents: bool = False) -> Callable[[], Shown] | None:
    """Says at each handshake what to show; None for plaintext. Raises `SettingsError`."""
    mode = settings.tls_mode
    if mode == OFF:
        if ask_agents:
            raise SettingsError(
                "agent_certificates needs TLS on the port that agents dial: set tls=generated or tls_cert"
            )
        return None
    agents = _of_agents(settings, clock) if ask_agents else b""
    return _own(settings, clock, agents) if mode == OWN else _generated(settings, clock, agents)


def services_trust(settings: Settings, clock: Clock) -> Trust:
    """What this service dials the others with. Raises `SettingsError`."""
    found = Trust(authorities(settings, clock))
    if not settings.agent_certificates:
        return found
    pair = Authority.load_or_create(settings.keys_dir, clock).service(settings.service)
    return found._replace(certificate=pair.chain, key=pair.key)


def authorities(settings: Settings, clock: Clock) -> bytes:
    """Whom clients of this deployment are to believe, PEM; empty: whom everybody believes. Raises `SettingsError`."""
    if settings.tls_ca:
        return _authorities(settings.tls_ca, "tls_ca")
    return Authority.load_or_create(settings.keys_dir, clock).pem if settings.tls_mode == GENERATED else b""


def _configuration(shown: Shown) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(shown.key, shown.chain)], shown.agents or None)


def _generated(settings: Settings, clock: Clock, agents: bytes) -> Callable[[], Shown]:
    authority, names = Authority.load_or_create(settings.keys_dir, clock), settings.served_names
    made: list[Pair] = []

    def current() -> Shown:
        if not made or made[-1].expires - clock.now() < RENEW_BEFORE:
            made[:] = [authority.server(names)]
        return Shown(made[-1].chain, made[-1].key, agents)

    return current


def _own(settings: Settings, clock: Clock, agents: bytes) -> Callable[[], Shown]:
    files = [Path(settings.tls_cert), Path(settings.tls_key)]
    seen: list[object] = []
    kept: list[Shown] = []

    def current() -> Shown:
        stamps = [_stamp(each) for each in files]
        if stamps != seen:
            seen[:] = stamps
            try:
                kept[:] = [_read(settings, clock)._replace(agents=agents)]
            except SettingsError as error:
                if not kept:
                    raise
                # Half of a replacement, most likely: the other half brings us here again.
                _log.warning("the new certificate cannot be used, the old one stays", extra={"why": str(error)})
        return kept[0]

    return current


def _of_agents(settings: Settings, clock: Clock) -> bytes:
    """The authorities of those who may dial a port for agents: agents', and ours, which signs for services."""
    ours = Authority.load_or_create(settings.keys_dir, clock).pem
    return ours + (_authorities(settings.tls_client_ca, "tls_client_ca") if settings.tls_client_ca else b"")


def _authorities(path: str, setting: str) -> bytes:
    try:
        return trust.read_authorities(Path(path), setting)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return found.st_mtime_ns, found.st_ino, found.st_size


def _read(settings: Settings, clock: Clock) -> Shown:
    """The files as they are now. Raises `SettingsError`, which says what is wrong with them."""
    chain, key = _bytes_of(settings.tls_cert), _bytes_of(settings.tls_key)
    try:
        first = x509.load_pem_x509_certificates(chain)[0]
    except (ValueError, IndexError) as error:
        raise SettingsError(f"{settings.tls_cert} (tls_cert) holds no certificate chain in PEM ({error})") from error
    try:
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:  # TypeError: a password is needed
        raise SettingsError(f"{settings.tls_key} (tls_key) holds no key in PEM without a password ({error})") from error
    if not same_key(first, private):
        raise SettingsError(
            f"the key in {settings.tls_key} is not that of the first certificate in {settings.tls_cert}: the server's "
            "own certificate comes first, then those who signed it"
        )
    ends, now = first.not_valid_after_utc, clock.now()
    if ends <= now:
        raise SettingsError(f"the certificate in {settings.tls_cert} has ended on {ends:%Y-%m-%d}: put a new one there")
    if ends - now < _WARN_BEFORE:
        _log.warning("the certificate ends soon", extra={"path": settings.tls_cert, "ends": ends.isoformat()})
    return Shown(chain, key)


def _bytes_of(path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {path} ({error.strerror}): see tls_cert and tls_key") from error
