"""Whom a client believes and how it shows who it is, when it dials `https://`.

An authority travels in two ways: as a file of PEM, which BATUTA_CA_FILE or a configuration's `ca_file` names, and
folded into one line of a credential block. There is no way to leave the check of a server's certificate out.

Imports neither grpc nor protobuf nor ssl: the SDK reads this with its configuration.
"""

from __future__ import annotations

import base64
import binascii
import re
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

CA_VARIABLE = "BATUTA_CA_FILE"
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----\s+(.+?)\s+-----END CERTIFICATE-----", re.DOTALL)


class Trust(NamedTuple):
    """What a channel to `https://` is made with; all PEM. Without authorities those that gRPC brings are believed."""

    authorities: bytes = b""
    certificate: bytes = b""
    """What the client shows of itself, with its chain; empty: nothing."""
    key: bytes = b""

    def __repr__(self) -> str:
        """Without the key: this ends up in logs."""
        return f"Trust({len(ders(self.authorities))} authorities, {'a' if self.certificate else 'no'} certificate)"


PUBLIC = Trust()
"""Believes the authorities that gRPC brings, or those of GRPC_DEFAULT_SSL_ROOTS_FILE_PATH."""


def read_authorities(path: Path, named_by: str) -> bytes:
    """The certificates in a file of PEM. Raises `ValueError`, which says `named_by` what to do."""
    try:
        found = path.expanduser().read_bytes()
    except OSError as error:
        raise ValueError(
            f"cannot read {path} ({error.strerror}), which {named_by} names: it is the file of the authority that "
            "signed the server's certificate (PEM)"
        ) from error
    if not _CERTIFICATE.search(found):
        raise ValueError(
            f"{path}, which {named_by} names, holds no certificate: it is to be PEM, -----BEGIN CERTIFICATE"
        )
    return found


def of_environment(env: Mapping[str, str]) -> Trust:
    """What BATUTA_CA_FILE says. Raises `ValueError`."""
    named = env.get(CA_VARIABLE)
    return Trust(read_authorities(Path(named), CA_VARIABLE)) if named else PUBLIC


def fold(pem: bytes) -> str:
    """Certificates on one line: base64, separated by spaces."""
    return " ".join(base64.b64encode(each).decode() for each in ders(pem))


def unfold(line: str) -> bytes:
    """PEM from such a line. Raises `ValueError`."""
    try:
        return as_pem(base64.b64decode(each, validate=True) for each in line.split())
    except binascii.Error as error:
        raise ValueError("ca is not whole: copy the block again, the long line too") from error


def as_pem(certificates: Iterable[bytes]) -> bytes:
    """Certificates, each as DER, in one text of PEM."""
    texts = (textwrap.fill(base64.b64encode(each).decode(), 64) for each in certificates)
    return "".join(f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n" for text in texts).encode()


def ders(pem: bytes) -> list[bytes]:
    """The certificates in a text of PEM, each as DER."""
    return [base64.b64decode(each) for each in _CERTIFICATE.findall(pem)]
