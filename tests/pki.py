"""Certificates for tests: an authority of somebody's own, and what it signs, good or not."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from batuta_rpc.clock import SystemClock

DAY = timedelta(days=1)


class Pki:
    """An authority; each has a key of its own."""

    def __init__(self, name: str = "somebody's own") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        self._certificate = self._sign(self._name, self._key, DAY, constraints, [])
        self.pem = self._certificate.public_bytes(Encoding.PEM)

    def file(self, folder: Path) -> Path:
        """Its certificate as a file."""
        path = folder / "authority.pem"
        path.write_bytes(self.pem)
        return path

    def issue(
        self, common_name: str = "server", names: Sequence[str] = ("localhost", "127.0.0.1"), good_for: timedelta = DAY
    ) -> tuple[bytes, bytes]:
        """Chain and key, PEM. `names` are hosts, addresses and URIs."""
        key = ec.generate_private_key(ec.SECP256R1())
        constraints = x509.BasicConstraints(ca=False, path_length=None)
        made = self._sign(_name(common_name), key, good_for, constraints, [_general(name) for name in names])
        chain = made.public_bytes(Encoding.PEM) + self.pem
        return chain, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def files(self, folder: Path, **wanted: Any) -> dict[str, Any]:
        """The same as files, for the settings `tls_cert` and `tls_key`."""
        folder.mkdir(exist_ok=True)
        cert, key = folder / "cert.pem", folder / "key.pem"
        chain, private = self.issue(**wanted)
        cert.write_bytes(chain)
        key.write_bytes(private)
        return {"tls_cert": str(cert), "tls_key": str(key)}

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        good_for: timedelta,
        constraints: x509.BasicConstraints,
        names: Sequence[x509.GeneralName],
    ) -> x509.Certificate:
        now = SystemClock().now()
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 10 * DAY)
            .not_valid_after(now + good_for)
            .add_extension(constraints, critical=True)
        )
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return made.sign(self._key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(name: str) -> x509.GeneralName:
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
