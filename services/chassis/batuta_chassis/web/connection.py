"""One client's connection: HTTP/1.1 by h11, with a limit and a patience for everything that it may send or take."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any, TypeVar

import h11

from batuta_chassis.web.message import BodyTooLarge, ClientGone, Request, Response, as_json
from batuta_rpc.clock import Clock, within

_log = logging.getLogger(__name__)
_KNOWN = frozenset(HTTPStatus)
_READ = 64 * 1024
T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Patience:
    """How long a client may take, in seconds, and how much its head may have, in bytes."""

    head: float = 20.0
    """From the connection, or the last answer, to the end of the next head."""
    body: float = 60.0
    write: float = 30.0
    """For some room in the buffers of a client that reads."""
    linger: float = 2.0
    """For a client to read the refusal of what it still sends."""
    head_bytes: int = 16 * 1024


DEFAULT = Patience()


class Connection:
    """Serves the requests of one connection, one after the other."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        handler: Handler,
        clock: Clock,
        patience: Patience,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._handler = handler
        self._clock = clock
        self._patience = patience
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=patience.head_bytes)
        self._peer = _peer(writer.get_extra_info("peername"))
        self._read_all = asyncio.Event()
        self._declared = 0
        self.busy = False
        """Whether a whole request is being worked on. Who is not busy may be closed to make room."""

        self.last = False
        """Set by a server that ends: after the answer that is being given there is no other."""

    async def run(self) -> None:
        """Serve until either side has enough. Raises nothing but a cancellation."""
        try:
            while await self._serve_one():
                self._http.start_next_cycle()
        except (ClientGone, h11.LocalProtocolError):
            pass
        except h11.RemoteProtocolError as error:
            with contextlib.suppress(ClientGone, h11.LocalProtocolError):
                await self._refuse(error)
        except Exception:
            _log.exception("a connection of the HTTP port broke")
        finally:
            self._close()

    def _close(self) -> None:
        transport = self._writer.transport
        if transport.get_write_buffer_size():  # it does not read: waiting for it would keep the connection for ever
            transport.abort()
        else:
            self._writer.close()

    async def _serve_one(self) -> bool:
        """Answer one request; whether there may be another."""
        head = await self._patiently(self._patience.head, self._event())
        if not isinstance(head, h11.Request):
            return False
        self._read_all.clear()
        request = self._request(head)
        answering = asyncio.create_task(self._answer(request))
        leaving = asyncio.create_task(self._client_leaves())
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                return False
            answering.result()
        finally:
            self.busy = False
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
        if self.last:
            return False
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            return True
        await self._linger()
        return False

    async def _answer(self, request: Request) -> None:
        try:
            response = await self._handler(request)
        except (ClientGone, h11.RemoteProtocolError):
            raise
        except Exception:
            _log.exception("no answer to %s %s", request.method, request.path)
            response = as_json(500, {"code": "internal", "message": "the server has a fault; its log says which"})
        if isinstance(response.body, bytes):
            self.busy = False
        await self._send(request.method, response)

    async def _send(self, method: str, response: Response) -> None:
        await self._send_head(response)
        if isinstance(response.body, bytes):
            if response.body and method != "HEAD":
                await self._write(self._http.send(h11.Data(data=response.body)))
        else:
            async with aclosing(response.body) as parts:
                async for part in parts:
                    await self._write(self._http.send(h11.Data(data=part)))
        await self._write(self._http.send(h11.EndOfMessage()))

    async def _send_head(self, response: Response) -> None:
        headers = [("date", format_datetime(self._clock.now(), usegmt=True)), *response.headers.items()]
        if isinstance(response.body, bytes):
            headers.append(("content-length", str(len(response.body))))
        if self._http.their_state is not h11.DONE:
            headers.append(("connection", "close"))
        reason = HTTPStatus(response.status).phrase if response.status in _KNOWN else ""
        head = h11.Response(status_code=response.status, headers=headers, reason=reason.encode())
        await self._write(self._http.send(head))

    def _request(self, head: h11.Request) -> Request:
        size = len(head.target) + sum(len(name) + len(value) for name, value in head.headers)
        if size > self._patience.head_bytes:  # h11 looks only at heads that come in pieces
            raise h11.RemoteProtocolError("its head is too large", error_status_hint=431)
        headers: dict[str, str] = {}
        for raw_name, raw_value in head.headers:
            name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        path, _, query = head.target.decode("latin-1").partition("?")
        if "content-length" not in headers and "transfer-encoding" not in headers:
            self._http.next_event()  # the end of a message without a body
            self._have_read()
        self._declared = int(headers.get("content-length", 0))  # h11 has seen to it that it is one number
        return Request(head.method.decode("ascii"), path, query, headers, self._peer, self._body)

    async def _body(self, limit: int) -> bytes:
        if self._read_all.is_set():
            return b""
        if self._declared > limit:
            raise BodyTooLarge
        if self._http.they_are_waiting_for_100_continue:
            await self._write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))
        read = await self._patiently(self._patience.body, self._collect(limit))
        self._have_read()
        return read

    def _have_read(self) -> None:
        self.busy = True
        self._read_all.set()

    async def _collect(self, limit: int) -> bytes:
        collected = bytearray()
        while isinstance(event := await self._event(), h11.Data):
            collected += event.data
            if len(collected) > limit:
                raise BodyTooLarge
        return bytes(collected)

    async def _event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_READ))
        return event

    async def _client_leaves(self) -> None:
        """Ends when the client has closed. What it sends of its next request meanwhile is kept, up to a bound."""
        await self._read_all.wait()
        while data := await self._reader.read(_READ):
            self._http.receive_data(data)
            if len(self._http.trailing_data[0]) > _READ:
                return
        self._http.receive_data(b"")

    async def _write(self, data: bytes | None) -> None:
        if data:
            if self._writer.is_closing():
                raise ClientGone
            self._writer.write(data)
            if self._writer.transport.get_write_buffer_size():
                await self._patiently(self._patience.write, self._writer.drain())

    async def _patiently(self, seconds: float, awaitable: Awaitable[T]) -> T:
        """Wait for the client. Raises `ClientGone` when that takes too long or it has left."""
        try:
            return await within(self._clock, seconds, awaitable)
        except OSError as error:  # a timeout is one too
            raise ClientGone from error

    async def _refuse(self, error: h11.RemoteProtocolError) -> None:
        """Say what is wrong with bytes that are no request."""
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            message = f"this is no HTTP request: {error}"
            response = as_json(error.error_status_hint, {"code": "invalid_argument", "message": message})
            await self._send("", response)
            await self._linger()

    async def _linger(self) -> None:
        """Give the client time to read: closing over bytes that nobody has read would tear up our answer."""
        if self._writer.can_write_eof():
            with contextlib.suppress(OSError):
                self._writer.write_eof()

        async def swallow() -> None:
            while await self._reader.read(_READ):
                pass

        await self._patiently(self._patience.linger, swallow())


def _peer(name: tuple[Any, ...] | None) -> str:
    """An address as gRPC writes it."""
    if not name:  # it has left already
        return ""
    host, port = name[:2]
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
