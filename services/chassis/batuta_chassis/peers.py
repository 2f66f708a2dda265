"""Whether a connection is that of the agent whose token comes over it: a stolen token alone opens nothing.

Only services that agents dial look, and only where `agent_certificates` is set. The transport has checked by then
that the certificate is good and that its key is there; here it is asked whose it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from batuta_chassis.authority import AGENT, SERVICE
from batuta_chassis.caller import Caller
from batuta_rpc.errors import CertificateMismatch

_log = logging.getLogger(__name__)
_KNOWN = 4096
Connection = Callable[[], Mapping[str, Iterable[bytes]]]
"""Gives gRPC's auth context of a call."""


class Peers:
    """Compares tokens of agents with the certificates of their connections."""

    def __init__(self, ours: bytes = b"") -> None:
        """`ours` is our own authority (PEM), which alone speaks for services; empty: nobody is asked for anything."""
        self._ours = ours

    def check(self, caller: Caller, connection: Connection) -> None:
        """Raise `CertificateMismatch` for an agent that comes over somebody else's connection. A service passes on what
        agents ask it."""
        if not self._ours or "agent" not in caller.roles:
            return
        kind, name = _identity(bytes(next(iter(connection().get("x509_pem_cert", ())), b"")), self._ours)
        if kind == SERVICE or caller.subject == f"agent:{name}":
            return
        _log.warning("an agent's token came over another's connection", extra={"subject": caller.subject, "peer": name})
        raise CertificateMismatch(
            f"this token is {caller.subject}'s, and the connection {'agent:' + name if name else 'nobody'}'s: an agent "
            "dials with its own certificate. One that has lost it joins anew",
            subject=caller.subject,
        )


@lru_cache(_KNOWN)
def _identity(pem: bytes, ours: bytes) -> tuple[str, str]:
    """Kind and name that a certificate is for: what our authority has written into it, else an agent of its common
    name. Empty for no certificate."""
    if not pem:
        return AGENT, ""
    read = x509.load_pem_x509_certificate(pem)
    try:
        names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    for uri in names.get_values_for_type(x509.UniformResourceIdentifier):
        kind, _, name = uri.removeprefix("batuta://").partition("/")
        if uri.startswith("batuta://") and (kind == AGENT or (kind == SERVICE and _signed_by(read, ours))):
            return kind, unquote(name)
    common = read.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return AGENT, str(common[0].value) if common else ""


def _signed_by(certificate: x509.Certificate, authority: bytes) -> bool:
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
