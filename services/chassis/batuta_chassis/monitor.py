"""The HTTP port of a service for those who watch it: `/metrics`, `/healthz`, `/readyz`, and nothing else.

One small request, one answer, then the connection is closed: there is no more to HTTP here, so it needs no framework.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from batuta_chassis.exposition import CONTENT_TYPE, text
from batuta_chassis.http_tls import server_context
from batuta_chassis.meters import Family, Meter, gauges
from batuta_chassis.settings import Settings, SettingsError
from batuta_rpc.clock import Clock, within
from batuta_rpc.version import VERSION

_log = logging.getLogger(__name__)
_HEAD_BYTES = 8 * 1024
_PATIENCE = 5.0
"""Seconds in which a request must be there, and an answer taken."""
_CONNECTIONS = 32

Ready = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    status: HTTPStatus
    body: bytes
    kind: str = "text/plain; charset=utf-8"


class Monitor:
    """Serves it."""

    def __init__(self, settings: Settings, meters: Sequence[Meter], ready: Ready, clock: Clock) -> None:
        """`ready` says whether the service's own health says SERVING."""
        self._settings = settings
        self._meters = meters
        self._ready = ready
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        """`host:port` as it listens; empty while it does not."""
        if self._server is None:
            return ""
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def start(self) -> None:
        """Listen. Raises `SettingsError` when nothing can listen there."""
        host, port = self._settings.metrics_address
        context = server_context(self._settings, self._clock)
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=_HEAD_BYTES, ssl=context)
        except OSError as error:
            raise SettingsError(
                f"the {self._settings.service} service cannot listen on {self._settings.metrics_listen} for /metrics "
                f"({error.strerror}): choose another metrics_listen"
            ) from error
        _log.info("metrics", extra={"service": self._settings.service, "address": self.address})

    async def stop(self) -> None:
        """Close the port and what is open."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with contextlib.suppress(OSError, TimeoutError):
                if len(self._open) <= _CONNECTIONS:
                    await within(self._clock, _PATIENCE, self._exchange(reader, writer))
        finally:
            self._open.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        method, _, rest = head[0].partition(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        answer = await self.answer(method, rest.partition(" ")[0].partition("?")[0], headers.get("authorization", ""))
        lines = [
            f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
            f"Content-Type: {answer.kind}",
            f"Content-Length: {len(answer.body)}",
            "Connection: close",
            *(["WWW-Authenticate: Bearer"] if answer.status is HTTPStatus.UNAUTHORIZED else []),
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else answer.body))
        await writer.drain()

    async def answer(self, method: str, path: str, authorization: str) -> Answer:
        """The answer to one request."""
        if method not in ("GET", "HEAD"):
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"GET only\n")
        if path == "/healthz":  # that this loop answers is what there is to know
            return Answer(HTTPStatus.OK, b"ok\n")
        if path == "/readyz":
            ready = await self._ready()
            return Answer(*((HTTPStatus.OK, b"ok\n") if ready else (HTTPStatus.SERVICE_UNAVAILABLE, b"not serving\n")))
        if path != "/metrics":
            return Answer(HTTPStatus.NOT_FOUND, b"there are /metrics, /healthz and /readyz\n")
        token = self._settings.metrics_token
        if token and not hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
            return Answer(HTTPStatus.UNAUTHORIZED, b"this needs the metrics_token of the service as a bearer token\n")
        families = await self._read()
        return Answer(HTTPStatus.OK, await asyncio.to_thread(text, families, self._settings.service), CONTENT_TYPE)

    async def _read(self) -> list[Family]:
        families = [gauges("batuta_build_info", "always 1; says the release", ("version",), {(VERSION,): 1.0})]
        for meter in self._meters:
            try:
                families += await meter.read()
            except Exception:  # a database that is away must not take the other numbers along
                _log.exception("reading %s failed; its numbers are left out", type(meter).__name__)
        return families
