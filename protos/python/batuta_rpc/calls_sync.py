"""Blocking calls as our channels make them. A thin wrapper: gRPC's interceptors cost more and say less.

Arguments that only gRPC's own machinery uses are passed through untyped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import grpc

from batuta_rpc import auth, retries
from batuta_rpc.auth import TokenSource
from batuta_rpc.errors import from_grpc
from batuta_rpc.ids import Ids

Metadata = tuple[tuple[str, Any], ...]


class Caller:
    """What every call of one channel shares."""

    def __init__(
        self, address: str, tokens: TokenSource | None, common: Callable[[], Metadata], deadline: float, ids: Ids
    ) -> None:
        self.address = address
        self.tokens = tokens
        self.common = common
        self.deadline = deadline
        self.ids = ids

    def prepare(self, metadata: Any) -> tuple[str, Metadata]:
        """The token of a call and all its metadata."""
        own: Metadata = tuple(metadata or ()) + self.common()
        if self.tokens is None:
            return "", own
        token = self.tokens.token()
        return token, (*own, ("authorization", f"Bearer {token}"))

    def unary(self, call: Callable[..., Any], request: Any, timeout: float | None, metadata: Any, rest: Any) -> Any:
        """Make a call that ends with one response; once more with a new token if the old one had just expired."""
        request = retries.recognisable(request, self.ids)
        for last in (False, True):
            token, all_metadata = self.prepare(metadata)
            try:
                return call(
                    request, timeout=self.deadline if timeout is None else timeout, metadata=all_metadata, **rest
                )
            except grpc.RpcError as raw:
                error = from_grpc(raw, self.address)
                again = auth.is_about_token(error) and auth.rejected(self.tokens, token)
                # A stream of requests is used up by the first try.
                if last or not again or hasattr(request, "__next__"):
                    raise error from None  # what gRPC says is in the error already
        raise AssertionError("the second try returns or raises")


class _Unary:
    def __init__(self, caller: Caller, inner: Any) -> None:
        self._caller = caller
        self._inner = inner

    def __call__(self, request: Any, timeout: float | None = None, metadata: Any = None, **rest: Any) -> Any:
        return self._caller.unary(self._inner, request, timeout, metadata, rest)

    def with_call(self, request: Any, timeout: float | None = None, metadata: Any = None, **rest: Any) -> Any:
        """The response and the call, as gRPC gives them."""
        return self._caller.unary(self._inner.with_call, request, timeout, metadata, rest)

    def future(self, request: Any, timeout: float | None = None, metadata: Any = None, **rest: Any) -> Any:
        """A `grpc.Future`. Its errors are gRPC's own: hand them to `batuta_rpc.errors.from_grpc`."""
        _, all_metadata = self._caller.prepare(metadata)
        deadline = self._caller.deadline if timeout is None else timeout
        request = retries.recognisable(request, self._caller.ids)
        return self._inner.future(request, timeout=deadline, metadata=all_metadata, **rest)


class _Stream:
    def __init__(self, caller: Caller, inner: Any) -> None:
        self._caller = caller
        self._inner = inner

    def __call__(self, request: Any, timeout: float | None = None, metadata: Any = None, **rest: Any) -> Any:
        token, all_metadata = self._caller.prepare(metadata)
        call = self._inner(request, timeout=timeout, metadata=all_metadata, **rest)
        return _Responses(self._caller, token, call)


class _Responses:
    """The responses of a streaming call; ends with our errors. Everything else is the call's own."""

    def __init__(self, caller: Caller, token: str, call: Any) -> None:
        self._caller = caller
        self._token = token
        self._call = call

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as raw:
            error = from_grpc(raw, self._caller.address)
            if auth.is_about_token(error):
                auth.rejected(self._caller.tokens, self._token)  # whoever opens the stream again gets a new one
            raise error from None  # what gRPC says is in the error already

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


class Channel(grpc.Channel):
    """A `grpc.Channel` whose calls carry token, name and deadline and raise `RpcError`s of ours."""

    def __init__(
        self,
        raw: grpc.Channel,
        address: str,
        tokens: TokenSource | None,
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
        """A call with many requests and one response."""
        return _Unary(self._caller, self._raw.stream_unary(method, *args, **kwargs))

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A call with one request and many responses."""
        return _Stream(self._caller, self._raw.unary_stream(method, *args, **kwargs))

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A call with many requests and many responses."""
        return _Stream(self._caller, self._raw.stream_stream(method, *args, **kwargs))

    def subscribe(self, callback: Any, try_to_connect: bool | None = False) -> None:
        """Follow the connectivity of the channel."""
        self._raw.subscribe(callback, try_to_connect=try_to_connect)

    def unsubscribe(self, callback: Any) -> None:
        """Stop following it."""
        self._raw.unsubscribe(callback)

    def close(self) -> None:
        """End all calls and the connection."""
        self._raw.close()

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
