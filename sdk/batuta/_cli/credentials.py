"""Reading a credential block: what the server writes into `admin.credentials` and people paste."""

from __future__ import annotations

import configparser
from collections.abc import Iterable
from dataclasses import dataclass

from batuta._cli.failures import CliError

SECTION = "batuta"
NAMES = ("api", "access_key", "secret_key")


@dataclass(frozen=True)
class Login:
    """Where a server is and who one is there; empty where not known."""

    api: str = ""
    access_key: str = ""
    secret_key: str = ""
    ca: str = ""
    """Authorities of the server's certificate on one line, as `batuta_rpc.trust.fold` writes them."""
    ca_file: str = ""
    """Their file."""

    def over(self, other: Login) -> Login:
        """This login with its gaps filled from `other`."""
        believed = self if self.ca or self.ca_file else other
        return Login(
            self.api or other.api,
            self.access_key or other.access_key,
            self.secret_key or other.secret_key,
            believed.ca,
            believed.ca_file,
        )

    @property
    def missing(self) -> list[str]:
        """Names of what is not known."""
        return [name for name in NAMES if not getattr(self, name)]


def parse(text: str, source: str) -> Login:
    """Read lines `api = …`, `access_key = …`, `secret_key = …`, with or without `[batuta]` above them.

    Raises `CliError`, which names `source`, for anything else.
    """
    body = text if any(line.strip().startswith("[") for line in text.splitlines()) else f"[{SECTION}]\n{text}"
    reader = configparser.ConfigParser(interpolation=None)
    try:
        reader.read_string(body)
    except configparser.Error:
        raise CliError(f"{source} holds no credential block. {expected()}") from None
    if not reader.has_section(SECTION):
        raise CliError(f"{source} has no section [{SECTION}]. {expected()}")
    block = reader[SECTION]
    return Login(*(block.get(name, "").strip().strip("\"'") for name in (*NAMES, "ca", "ca_file")))


def pasted(lines: Iterable[str]) -> str:
    """The lines up to the first empty one after the block began, or to the end."""
    taken: list[str] = []
    for line in lines:
        if not line.strip() and taken:
            break
        if line.strip():
            taken.append(line)
    return "".join(taken)


def expected() -> str:
    """How a block looks."""
    return "It looks like: [batuta], api = http://host:8480, access_key = …, secret_key = …, one a line."
