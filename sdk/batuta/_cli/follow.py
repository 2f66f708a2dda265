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


R = TypeVar("R", bound=Positioned)


def read(context: Context, open_stream: Callable[[int], Iterable[R]], *, again: bool) -> Iterator[R]:
    """Yield the responses of `open_stream(position)`.

    With `again`, open it anew at the last position when the connection is lost. Raises the last `RpcError`
    when trying does not help.
    """
    position = 0
    backoff = Backoff(context.ids, limit=_TRIES)
    while True:
        try:
            for response in open_stream(position):
                position = max(position, response.position)
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
