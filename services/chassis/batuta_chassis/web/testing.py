"""What tests of the HTTP port need: a client that sends what it is told, letter by letter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import h11

JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """The reason of an error of ours, empty for none."""
        details = self.json.get("details", [])
        return next((str(each["debug"]["reason"]) for each in details if each["type"] == "google.rpc.ErrorInfo"), "")

    @property
    def frames(self) -> list[tuple[int, bytes]]:
        """(flags, data) of the messages of a stream."""
        found: list[tuple[int, bytes]] = []
        rest = self.body
        while rest:
            size = int.from_bytes(rest[1:5], "big")
            found.append((rest[0], rest[5 : 5 + size]))
            rest = rest[5 + size :]
        return found


class Exchange:
    """One connection on which one request has been sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, http: h11.Connection) -> None:
        self._reader = reader
        self._writer = writer
        self._http = http

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers."""
        event = await self._next()
        while not isinstance(event, h11.Response):
            if not isinstance(event, h11.InformationalResponse):
                raise ConnectionError(f"no response came: {event}")
            event = await self._next()
        return event.status_code, {name.decode(): value.decode("latin-1") for name, value in event.headers}

    async def parts(self) -> AsyncGenerator[bytes]:
        """The body as it comes."""
        while isinstance(event := await self._next(), h11.Data):
            yield bytes(event.data)

    def leave(self) -> None:
        """Close, whatever is still to come."""
        self._writer.close()

    async def _next(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(65536))
        return event


class HttpClient:
    """Sends requests, each on a connection of its own."""

    def __init__(self, endpoint: str, token: str | None = None) -> None:
        """`endpoint` is `http://host:port`; `token` goes along with every request."""
        where = urlsplit(endpoint)
        self.host, self.port = where.hostname or "", where.port or 0
        self._token = token

    async def open(self, method: str, target: str, body: bytes = b"", **headers: str) -> Exchange:
        """Send a request; keywords are headers, underscores standing for dashes."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named.setdefault("host", f"{self.host}:{self.port}")
        if self._token is not None:
            named.setdefault("authorization", f"Bearer {self._token}")
        if body or method == "POST":
            named.setdefault("content-length", str(len(body)))
        http = h11.Connection(h11.CLIENT)
        listed = [(name.encode(), value.encode("latin-1")) for name, value in named.items()]
        head = http.send(h11.Request(method=method, target=target, headers=listed))
        writer.write((head or b"") + (http.send(h11.Data(data=body)) or b"") + (http.send(h11.EndOfMessage()) or b""))
        return Exchange(reader, writer, http)

    async def send(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        """Send a request and read all of the response."""
        exchange = await self.open(method, target, body, **headers)
        try:
            status, named = await exchange.head()
            return Answer(status, named, b"".join([part async for part in exchange.parts()]))
        finally:
            exchange.leave()

    async def call(self, method: str, message: Any = None, **headers: str) -> Answer:
        """Call `/package.Service/Method` by Connect, with JSON."""
        headers.setdefault("content_type", JSON)
        return await self.send("POST", method, json.dumps({} if message is None else message).encode(), **headers)
