"""Who is at the other end of a call: the address on the wire, or the client for whom our own HTTP port calls; and by
which program.

The HTTP port dials the service's own gRPC port, so the address on the wire would be its own. It introduces its client
in the metadata, with a secret that only this process knows: from anybody else the same words mean nothing.
"""

from __future__ import annotations

import hmac
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:  # generic in the type stubs only
    import grpc.aio

    Context = grpc.aio.ServicerContext[Any, Any]

INTRODUCTION = "batuta-http-peer"
"""The metadata of an introduction; it is never passed on to another service."""

_introduced: ContextVar[str] = ContextVar("batuta_introduced_peer", default="")


class Doorman:
    """Knows whom the HTTP port has let in."""

    def __init__(self, secret: str) -> None:
        """`secret` is new in each process and leaves it never."""
        self._secret = secret.encode()

    def introduce(self, peer: str) -> tuple[str, str]:
        """The metadata for a call on behalf of `peer`, an address as gRPC writes it (`ipv4:127.0.0.1:4711`)."""
        return INTRODUCTION, f"{self._secret.decode()} {peer}"

    def note(self, context: Context) -> None:
        """Remember for the running call whom it is made for, where it carries a true introduction."""
        for key, value in context.invocation_metadata() or ():
            if key == INTRODUCTION:
                secret, _, peer = str(value).partition(" ")
                if hmac.compare_digest(secret.encode(), self._secret):
                    _introduced.set(peer)


def peer_of(context: Context) -> str:
    """The address of whoever makes the call that is being served, as gRPC writes it."""
    return _introduced.get() or context.peer() or ""


@dataclass(frozen=True)
class Origin:
    """An address without its port, and the program that calls, as it names itself."""

    peer: str = ""
    client: str = ""


UNKNOWN = Origin()
_current: ContextVar[Origin] = ContextVar("batuta_origin", default=UNKNOWN)


def current_origin() -> Origin:
    """The origin of the call that the running task serves; empty outside of calls."""
    return _current.get()


def note_origin(context: Context) -> None:
    """Remember where the call that is being served comes from."""
    client = next((str(value) for key, value in context.invocation_metadata() or () if key == "batuta-client"), "")
    _current.set(Origin(host_of(peer_of(context)), client))


def host_of(peer: str) -> str:
    """The address of a gRPC peer (`ipv4:127.0.0.1:4711`, `ipv6:%5B::1%5D:4711`) without its port."""
    kind, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0] if kind in ("ipv4", "ipv6") else peer
