"""The certificate authority of a deployment: made at the first start, in the folder of the token keys.

It signs the certificates of our servers, those with which services show themselves to each other, and those of
agents. `ca.key` holds key and certificate and is for this deployment's services only; `ca.pem` is for everybody.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from batuta_chassis.sources import SettingsError
from batuta_chassis.tokens import write_private
from batuta_rpc.clock import Clock
from batuta_rpc.errors import FieldViolation

CERTIFICATE, KEY = "ca.pem", "ca.key"
AGENT, SERVICE = "agent", "service"
_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=90)
"""How long a certificate that we sign is good. Browsers and other strict clients take 397 days at most."""
RENEW_BEFORE = timedelta(days=30)
"""How long before its end a certificate is replaced."""
_BACK = timedelta(hours=1)
"""By so much a clock may be behind ours."""
_COMMON_NAME = 64


@dataclass(frozen=True)
class Pair:
    """A certificate with its chain, and its key, both PEM."""

    chain: bytes
    key: bytes
    expires: datetime


class Authority:
    """Signs."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, clock: Clock) -> None:
        self._key = key
        self._certificate = certificate
        self._clock = clock
        self.pem = certificate.public_bytes(Encoding.PEM)
        """For those who are to believe it."""

    @classmethod
    def load_or_create(cls, keys_dir: Path, clock: Clock) -> Authority:
        """The authority in a folder of keys, made if there is none. Raises `SettingsError`."""
        keys_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = keys_dir / KEY
        if not kept.exists():
            _create(kept, clock)
        try:
            text = kept.read_bytes()
            key, certificate = load_pem_private_key(text, None), x509.load_pem_x509_certificate(text)
        except (OSError, ValueError) as error:
            raise SettingsError(f"{kept} is no authority that this service has made ({error}): {_ANEW}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SettingsError(f"{kept} is no authority that this service has made (not ECDSA): {_ANEW}")
        if certificate.not_valid_after_utc <= clock.now():
            raise SettingsError(
                f"the authority in {kept} has ended on {certificate.not_valid_after_utc:%Y-%m-%d}: {_ANEW}"
            )
        made = cls(key, certificate, clock)
        public = keys_dir / CERTIFICATE
        if not public.exists() or public.read_bytes() != made.pem:
            scratch = _scratch(public)
            write_private(scratch, made.pem)
            os.replace(scratch, public)
        return made

    def server(self, names: Iterable[str]) -> Pair:
        """A certificate for a server that is dialled by these names and addresses. Raises `SettingsError`."""
        wanted = [_general(name) for name in names]
        return self._pair("Batuta", wanted, ExtendedKeyUsageOID.SERVER_AUTH, self._clock.now() + LEAF_LIFE)

    def service(self, name: str) -> Pair:
        """What a service shows of itself when it dials another one. It is kept in memory only, and ends with us."""
        identity = [x509.UniformResourceIdentifier(uri_of(SERVICE, name))]
        return self._pair(name, identity, ExtendedKeyUsageOID.CLIENT_AUTH, self._certificate.not_valid_after_utc)

    def agent(self, agent_id: str, request: bytes) -> tuple[bytes, datetime]:
        """A certificate (PEM) for the agent that holds the key of a request (PKCS #10, DER), and its end.

        Only the key is taken from the request: who it is for, the caller has found out. Raises `FieldViolation`.
        """
        public = _key_of(request)
        identity = [x509.UniformResourceIdentifier(uri_of(AGENT, agent_id))]
        expires = min(self._clock.now() + LEAF_LIFE, self._certificate.not_valid_after_utc)
        made = self._sign(agent_id, public, identity, ExtendedKeyUsageOID.CLIENT_AUTH, expires)
        return made.public_bytes(Encoding.PEM), expires

    def _pair(
        self, name: str, names: Sequence[x509.GeneralName], purpose: x509.ObjectIdentifier, expires: datetime
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        expires = min(expires, self._certificate.not_valid_after_utc)
        made = self._sign(name, key.public_key(), names, purpose, expires)
        return Pair(made.public_bytes(Encoding.PEM) + self.pem, _key_pem(key), expires)

    def _sign(
        self,
        name: str,
        public: _PublicKey,
        names: Sequence[x509.GeneralName],
        purpose: x509.ObjectIdentifier,
        expires: datetime,
    ) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self._certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._clock.now() - _BACK)
            .not_valid_after(expires)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )


_PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
_ANEW = (
    "move ca.key and ca.pem away and the next start makes an authority anew; every client and agent then has to be "
    "given the new ca.pem"
)


def uri_of(kind: str, name: str) -> str:
    """Who a certificate of ours is for, as it stands in it."""
    return f"batuta://{kind}/{quote(name, safe='')}"


def _create(kept: Path, clock: Clock) -> None:
    """Make an authority, unless another service that starts at the same time is quicker."""
    key = ec.generate_private_key(ec.SECP256R1())
    public, now = key.public_key(), clock.now()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    name = _name(f"Batuta {identifier.digest.hex()[:8]}")
    usage = dict.fromkeys(
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement encipher_only "
        "decipher_only".split(),
        False,
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACK)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    scratch = _scratch(kept)
    write_private(scratch, _key_pem(key) + made.public_bytes(Encoding.PEM))
    with contextlib.suppress(FileExistsError):
        os.link(scratch, kept)
    scratch.unlink()


def _scratch(path: Path) -> Path:
    """A name that no other starting service has, on this machine or another one that shares the folder."""
    return path.with_name(f".{path.name}.{x509.random_serial_number():x}")


def _key_of(request: bytes) -> _PublicKey:
    try:
        read = x509.load_der_x509_csr(request)
        public, holds = read.public_key(), read.is_signature_valid
    except ValueError as error:
        raise _bad_request("is no certificate request (PKCS #10, DER)") from error
    if not holds:
        raise _bad_request("is not signed with its own key")
    strong = isinstance(public, (ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey)) or (
        isinstance(public, rsa.RSAPublicKey) and public.key_size >= 2048
    )
    if not strong:
        raise _bad_request("has a weak or unknown kind of key; use ECDSA P-256")
    if isinstance(public, (ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey, rsa.RSAPublicKey)):
        return public
    raise AssertionError("unreachable")


def _bad_request(what: str) -> FieldViolation:
    return FieldViolation(f"certificate_request {what}", field_violations=[("certificate_request", what)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError as error:
        raise SettingsError(f"{name!r} is no name that a certificate can be for: see tls_names ({error})") from error


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:_COMMON_NAME])])


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def same_key(certificate: x509.Certificate, key: object) -> bool:
    """Whether a private key is that of a certificate."""
    public = getattr(key, "public_key", None)
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return public is not None and public().public_bytes(*form) == certificate.public_key().public_bytes(*form)
