"""Reading a stream to its end across lost connections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from batuta._cli.context import Context
from batuta_rpc.backoff import Backoff, BackoffExhausted
from batuta_rpc.errors import Cancelled, DeadlineExceeded, Internal, RpcError, TokenExpired, Unavailable

_TRIES = 60
"""Tries in a row before giving up: about seven minutes."""


class Positioned(Protocol):
    """A response that says where to go on from."""

    @property
    def position(self) -> int:
        """The place after this response."""
        ...


T = TypeVar("T")
R = TypeVar("R", bound=Positioned)


def read(context: Context, open_stream: Callable[[int], Iterable[R]], *, again: bool) -> Iterator[R]:
    """Yield the responses of `open_stream(position)`; with `again` as `lasting` does, from the last position."""
    at = [0]
    for response in lasting(context, lambda: open_stream(at[0]), again=again):
        at[0] = max(at[0], response.position)
        yield response


def lasting(context: Context, open_stream: Callable[[], Iterable[T]], *, again: bool = True) -> Iterator[T]:
    """Yield the responses of a stream. With `again`, open it anew when the connection is lost.

    Raises the last `RpcError` when trying does not help.
    """
    backoff = Backoff(context.ids, limit=_TRIES)
    while True:
        try:
            for response in open_stream():
                backoff.reset()
                yield response
            return
        except RpcError as error:
            if not again or not _passing(error):
                raise
            if backoff.tries == 0:
                context.note("the connection is lost; going on as soon as the server answers.")
            try:
                wait = backoff.next()
            except BackoffExhausted:
                raise error from None
        context.clock.sleep_blocking(wait)


def _passing(error: RpcError) -> bool:
    """Whether the same call may well succeed later: the server or the way to it went away, or the token ran out."""
    return isinstance(error, (Unavailable, Cancelled, DeadlineExceeded, TokenExpired)) or type(error) is Internal
