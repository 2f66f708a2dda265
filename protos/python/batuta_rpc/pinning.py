"""Fingerprints: how people compare authorities, and how a client gets one of which it knows the fingerprint only."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
from typing import Any, cast

from batuta_rpc import target, trust

_FINGERPRINT = re.compile(r"(?:sha256:)?((?:[0-9a-f]{2}:?){32})", re.IGNORECASE)
_ANSWER = 10.0
"""Seconds for connecting, and for each answer after that."""


def fingerprints(pem: bytes) -> list[str]:
    """`sha256:…` of each certificate in a text of PEM."""
    return [_fingerprint(each) for each in trust.ders(pem)]


def authority_of(endpoint: str, fingerprint: str) -> bytes:
    """The authority with this fingerprint, as PEM, from the server that shows it. Raises `ValueError`.

    The connection that it is read from is believed in nothing else: what has the right fingerprint is right wherever
    it comes from.
    """
    given = _FINGERPRINT.fullmatch(fingerprint.strip())
    if given is None:
        raise ValueError(f"{fingerprint!r} is no fingerprint: it reads sha256: and 64 hex digits")
    wanted = f"sha256:{given.group(1).replace(':', '').lower()}"
    where = target.parse(endpoint)
    if not where.tls:
        raise ValueError(f"a fingerprint is of a server that speaks TLS: write https://{where.address}")
    shown = _shown(where)
    for each in shown:
        if _fingerprint(each) == wanted:
            return trust.as_pem([each])
    raise ValueError(
        f"the server at {where.address} does not show an authority with the fingerprint {wanted}, but "
        f"{' and '.join(_fingerprint(each) for each in shown[1:]) or 'none at all'}: it is another server, its "
        "authority was replaced, or somebody stands between. Ask its operator"
    )


def _shown(where: target.Target) -> list[bytes]:
    """The chain that a server shows, as DER, its own certificate first. Nothing of it is checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    port = int(where.address.rsplit(":", 1)[1])
    try:
        with (
            socket.create_connection((where.host, port), _ANSWER) as raw,
            context.wrap_socket(raw, server_hostname=where.host) as connection,
        ):
            return _chain(connection)
    except OSError as error:
        raise ValueError(f"cannot read the certificate of the server at {where.address}: {error}") from error


def _chain(connection: ssl.SSLSocket) -> list[bytes]:
    public = getattr(connection, "get_unverified_chain", None)  # from Python 3.13
    if public is not None:
        return [bytes(each) for each in public()]
    inner = getattr(cast("Any", connection)._sslobj, "get_unverified_chain", None)  # 3.10 to 3.12
    if inner is None:
        raise ValueError("a fingerprint needs Python 3.10 or newer here: copy the authority's file, and give --ca-file")
    return [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in inner()]


def _fingerprint(der: bytes) -> str:
    return f"sha256:{hashlib.sha256(der).hexdigest()}"
