"""An HTTP request and its response, as routes see them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.rpc.status_pb2 import Status


class BodyTooLarge(Exception):
    """The body has more bytes than its route takes."""


class ClientGone(Exception):
    """The client has left, or takes too long."""


@dataclass(frozen=True)
class Request:
    """The head of a request, and a way to its body."""

    method: str
    path: str
    """As it was sent: nothing is decoded or tidied."""
    query: str
    """What follows the first question mark."""
    headers: Mapping[str, str]
    """By lower-case name; a name that came twice has its values joined by commas."""
    peer: str
    """The client's address as gRPC writes it."""
    body: Callable[[int], Awaitable[bytes]]
    """Reads the body, of at most so many bytes; once. Raises `BodyTooLarge`."""

    def header(self, name: str) -> str:
        """The value of a header, empty when it is missing."""
        return self.headers.get(name, "")

    @property
    def media_type(self) -> str:
        """The type of the body in lower case, without parameters."""
        return self.header("content-type").partition(";")[0].strip().lower()


@dataclass
class Response:
    """What goes back. A streamed body is closed when the client leaves."""

    status: int
    body: bytes | AsyncGenerator[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])


def as_json(status: int, value: Any, **headers: str) -> Response:
    """A response of JSON; keywords are headers, underscores standing for dashes."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(status, json.dumps(value).encode(), {"content-type": "application/json", **named})


@dataclass(frozen=True)
class Failed(Exception):
    """A call did not work out; `status` says why, as gRPC would."""

    status: Status
