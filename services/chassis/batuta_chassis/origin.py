"""Where the call that is being served comes from."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:  # generic in the type stubs only
    import grpc.aio

    Context = grpc.aio.ServicerContext[Any, Any]


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


def note_origin(peer: str, metadata: Any) -> None:
    """Remember where a call comes from: its peer as gRPC writes it, and its metadata."""
    client = next((str(value) for key, value in metadata or () if key == "batuta-client"), "")
    _current.set(Origin(host_of(peer), client))


def host_of(peer: str) -> str:
    """The address of a gRPC peer (`ipv4:127.0.0.1:4711`, `ipv6:%5B::1%5D:4711`) without its port."""
    kind, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0] if kind in ("ipv4", "ipv6") else peer
