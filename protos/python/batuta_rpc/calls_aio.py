"""Calls in an event loop as our channels make them. A thin wrapper: gRPC's aio interceptors cost a task per call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import grpc
import grpc.aio

from batuta_rpc import auth, retries
from batuta_rpc.auth import AioTokenSource, TokenSource
from batuta_rpc.errors import RpcError, from_grpc
from batuta_rpc.ids import Ids

Metadata = tuple[tuple[str, Any], ...]


class Caller:
    """What every call of one channel shares."""

    def __init__(
        self,
        address: str,
        tokens: TokenSource | AioTokenSource | None,
        common: Callable[[], Metadata],
        deadline: float,
        ids: Ids,
    ) -> None:
        self.address = address
        self.tokens = tokens
        self._common = common
        self.deadline = deadline
        self.ids = ids

    def at_once(self) -> str | None:
        """The token, if no waiting is needed for it; empty if calls carry none."""
        if self.tokens is None:
            return ""
        return self.tokens.ready() if isinstance(self.tokens, AioTokenSource) else None

    async def token(self) -> str:
        """The token of the next call; empty if calls carry none."""
        if self.tokens is None:
            return ""
        if isinstance(self.tokens, AioTokenSource):
            return self.tokens.ready() or await self.tokens.fetch()
        return await asyncio.get_running_loop().run_in_executor(None, self.tokens.token)

    def metadata(self, own: Any, token: str) -> Metadata:
        """All metadata of a call."""
        most: Metadata = tuple(own or ()) + self._common()
        return (*most, ("authorization", f"Bearer {token}")) if token else most


class _Unary:
    def __init__(self, caller: Caller, inner: Any) -> None:
        self._caller = caller
        self._inner = inner

    async def __call__(self, request: Any, timeout: float | None = None, metadata: Any = None, **rest: Any) -> Any:
        caller = self._caller
        deadline = caller.deadline if timeout is None else timeout
        request = retries.recognisable(request, caller.ids)
        for last in (False, True):
            token = await caller.token()
            try:
                return await self._inner(request, timeout=deadline, metadata=caller.metadata(metadata, token), **rest)
            except grpc.RpcError as raw:
                error = from_grpc(raw, caller.address)
                again = auth.is_about_token(error) and auth.rejected(caller.tokens, token)
                # A stream of requests is used up by the first try.
                if last or not again or hasattr(request, "__anext__"):
                    raise error from None  # what gRPC says is in the error already
        raise AssertionError("the second try returns or raises")


class _Stream:
    def __init__(self, caller: Caller, inner: Any) -> None:
        self._caller = caller
        self._inner = inner

    def __call__(self, *args: Any, timeout: float | None = None, metadata: Any = None, **rest: Any) -> Any:
        def start(token: str) -> Any:
            return self._inner(*args, timeout=timeout, metadata=self._caller.metadata(metadata, token), **rest)

        return StreamCall(self._caller, start)


class StreamCall:
    """A streaming call that begins at once, or, when its token must be waited for, with its first use.

    Reads and writes end with errors of ours. Has the methods of `grpc.aio.StreamStreamCall`.
    """

    def __init__(self, caller: Caller, start: Callable[[str], Any]) -> None:
        self._caller = caller
        self._start = start
        self._starting: asyncio.Task[str] | None = None
        self._cancelled = False
        token = caller.at_once()
        self._token = token or ""
        self._call: Any = None if token is None else start(token)

    async def _begun(self) -> Any:
        if self._call is None:
            if self._cancelled:
                raise asyncio.CancelledError
            # One task for the token, because a reader and a writer may come here at the same time.
            if self._starting is None:
                self._starting = asyncio.ensure_future(self._caller.token())
            token = await self._starting
            if self._call is None:
                self._token = token
                self._call = self._start(token)
        return self._call

    def _error(self, raw: grpc.RpcError) -> RpcError:
        error = from_grpc(raw, self._caller.address)
        if auth.is_about_token(error):
            auth.rejected(self._caller.tokens, self._token)  # whoever opens the stream again gets a new one
        return error

    async def read(self) -> Any:
        """The next response, or `grpc.aio.EOF`."""
        call = await self._begun()
        try:
            return await call.read()
        except grpc.RpcError as raw:
            raise self._error(raw) from None

    async def write(self, request: Any) -> None:
        """Send a request; waits while the peer's window is full."""
        call = await self._begun()
        try:
            await _write(call, request)
        except grpc.RpcError as raw:
            raise self._error(raw) from None
        except asyncio.InvalidStateError as ended:
            # The call ended before this write: its status says why, the bare error does not.
            raise await self._ended(call) from ended

    async def _ended(self, call: Any) -> Exception:
        code = await call.code()
        if code is grpc.StatusCode.OK:
            return RpcError("the server ended the stream")
        return self._error(grpc.aio.AioRpcError(code, None, await call.trailing_metadata(), await call.details()))

    async def done_writing(self) -> None:
        """Say that no more requests follow."""
        call = await self._begun()
        await call.done_writing()

    async def __aiter__(self) -> AsyncIterator[Any]:
        call = await self._begun()
        try:
            async for response in call:
                yield response
        except grpc.RpcError as raw:
            raise self._error(raw) from None

    def cancel(self) -> bool:
        """Give the call up."""
        self._cancelled = True
        if self._starting is not None:
            self._starting.cancel()
        return bool(self._call.cancel()) if self._call is not None else True

    def cancelled(self) -> bool:
        """Whether it was given up."""
        return self._cancelled if self._call is None else bool(self._call.cancelled())

    def done(self) -> bool:
        """Whether it has ended."""
        return self._cancelled if self._call is None else bool(self._call.done())

    async def wait_for_connection(self) -> None:
        """Wait until the server has been reached."""
        call = await self._begun()
        try:
            await call.wait_for_connection()
        except grpc.RpcError as raw:
            raise self._error(raw) from None

    async def initial_metadata(self) -> Any:
        """What the server sent before its first response."""
        return await (await self._begun()).initial_metadata()

    async def trailing_metadata(self) -> Any:
        """What the server sent after its last response."""
        return await (await self._begun()).trailing_metadata()

    async def code(self) -> grpc.StatusCode:
        """The status code, once the call has ended."""
        return cast("grpc.StatusCode", await (await self._begun()).code())

    async def details(self) -> str:
        """The text of the status, once the call has ended."""
        return str(await (await self._begun()).details())


async def _write(call: Any, request: Any) -> None:
    """`call.write`, but that a write which meets the end of the stream does not hide why it ended.

    grpc.aio (1.62 to 1.85 at least) then replaces the status of the whole call by "Internal error from Core", for its
    reader too, and the server's own word, such as SESSION_SUPERSEDED, is lost. So its lower half is called here.
    """
    lower, sent = getattr(call, "_cython_call", None), getattr(call, "_metadata_sent", None)
    serialize = getattr(call, "_request_serializer", None)
    if lower is None or sent is None or not sent.is_set() or serialize is None or call.done():
        await call.write(request)
        return
    try:
        await lower.send_serialized_message(serialize(request))
    except asyncio.CancelledError:
        call.cancel()
        raise
    except grpc.RpcError:
        raise
    except Exception as broken:
        raise asyncio.InvalidStateError("the call has ended") from broken


class Channel(grpc.aio.Channel):
    """A `grpc.aio.Channel` whose calls carry token, name and deadline and raise `RpcError`s of ours."""

    def __init__(
        self,
        raw: grpc.aio.Channel,
        address: str,
        tokens: TokenSource | AioTokenSource | None,
        common: Callable[[], Metadata],
        deadline: float,
        ids: Ids,
    ) -> None:
        self._raw = cast("Any", raw)
        self._caller = Caller(address, tokens, common, deadline, ids)

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A call with one request and one response."""
        return _Unary(self._caller, self._raw.unary_unary(method, *args, **kwargs))

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A call with many requests (an async iterator) and one response."""
        return _Unary(self._caller, self._raw.stream_unary(method, *args, **kwargs))

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A call with one request and many responses."""
        return _Stream(self._caller, self._raw.unary_stream(method, *args, **kwargs))

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A call with many requests and many responses."""
        return _Stream(self._caller, self._raw.stream_stream(method, *args, **kwargs))

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """The connectivity of the channel."""
        return cast("grpc.ChannelConnectivity", self._raw.get_state(try_to_connect))

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the connectivity is another one."""
        await self._raw.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the server has been reached."""
        await self._raw.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        """End all calls, after `grace` seconds, and the connection."""
        await self._raw.close(grace)

    async def __aenter__(self) -> Channel:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()
