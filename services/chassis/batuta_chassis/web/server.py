"""Listens for HTTP clients, and holds as many connections as it may."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict

from batuta_chassis.http_tls import server_context
from batuta_chassis.settings import Settings, SettingsError
from batuta_chassis.web.connection import DEFAULT, Connection, Handler, Patience
from batuta_rpc.clock import Clock, within

CONNECTIONS = 1_000
"""Open at once. One more closes the one that has waited longest without a request."""
_MOMENT = 1.0
_FULL = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\nretry-after: 1\r\n\r\n"


class WebServer:
    """The HTTP port."""

    def __init__(
        self, handler: Handler, clock: Clock, patience: Patience = DEFAULT, connections: int = CONNECTIONS
    ) -> None:
        self._handler = handler
        self._clock = clock
        self._patience = patience
        self._limit = connections
        self._open: OrderedDict[Connection, asyncio.Task[None]] = OrderedDict()
        self._server: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    async def start(self, settings: Settings) -> None:
        """Listen on the HTTP port of the settings. Raises `SettingsError`."""
        context = server_context(settings, self._clock)
        try:
            self._server = await asyncio.start_server(
                self._serve,
                settings.host.strip("[]"),
                settings.http_port,
                ssl=context,
                ssl_handshake_timeout=None if context is None else 10.0,
                backlog=1024,
            )
        except OSError as error:
            raise SettingsError(
                f"the {settings.service} service cannot listen for HTTP on {settings.host}:{settings.http_port} "
                f"({error.strerror}). Choose another http_port (0: a free one, -1: none)"
            ) from error

    def stop_listening(self) -> None:
        """Take no more connections."""
        if self._server is not None:
            self._server.close()

    async def stop(self) -> None:
        """Close what is open. Answers that are being given may take another moment."""
        self.stop_listening()
        busy = [task for connection, task in self._open.items() if connection.busy]
        for connection in self._open:
            connection.last = True
        if busy:
            with contextlib.suppress(TimeoutError):
                await within(self._clock, _MOMENT, asyncio.wait(busy))
        tasks = list(self._open.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= self._limit and not self._make_room():
            writer.write(_FULL)
            writer.close()
            return
        connection = Connection(reader, writer, self._handler, self._clock, self._patience)
        task = asyncio.ensure_future(connection.run())
        self._open[connection] = task
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
            self._open.pop(connection, None)

    def _make_room(self) -> bool:
        """Close the oldest connection that asks for nothing: whoever only holds places shall not keep others out."""
        for connection, task in self._open.items():
            if not connection.busy:
                task.cancel()
                del self._open[connection]
                return True
        return False
