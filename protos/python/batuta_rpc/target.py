"""Where a server is: what people write, and what gRPC dials."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

API_PORT = 8480
"""The port of the API where none is named."""
DISPATCH_PORT = 8481
"""The port on which the queue service takes the sessions of agents, where none is named."""

HTTP_PORT = 8482
"""The port of the API for browsers and curl, where none is named."""


class Target(NamedTuple):
    """An address to dial."""

    address: str
    """`host:port`, IPv6 hosts in brackets."""
    tls: bool

    @property
    def host(self) -> str:
        """The host without port and brackets."""
        return self.address.rsplit(":", 1)[0].strip("[]")

    @property
    def shown(self) -> str:
        """As people read it: with `https://` where TLS is spoken."""
        return f"https://{self.address}" if self.tls else self.address


def parse(text: str, default_port: int = API_PORT) -> Target:
    """Read `http://host:port`, `https://host[:port]`, `host:port` or `host`.

    A missing port is 443 for https and `default_port` otherwise. Raises `ValueError`, which says what is wrong.
    """
    given = text.strip()
    if not given:
        raise ValueError("the server's address is empty; write it like http://host:8480")
    parts = urlsplit(given if "://" in given else f"http://{given}")
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"cannot dial {given!r}: the address begins with http:// or https://")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"cannot dial {given!r}: write only the scheme, host and port, like http://host:8480")
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"cannot dial {given!r}: {error}") from None
    if not host:
        raise ValueError(f"cannot dial {given!r}: it names no host")
    tls = parts.scheme == "https"
    chosen = port or (443 if tls else default_port)
    return Target(f"[{host}]:{chosen}" if ":" in host else f"{host}:{chosen}", tls)


def is_loopback(host: str) -> bool:
    """Whether `host` can be reached from this machine only."""
    return host in ("localhost", "::1", "[::1]") or re.fullmatch(r"127(\.[0-9]{1,3}){3}", host) is not None
