"""Going on where a stream broke off: what is tried again, and how often."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from batuta_rpc.backoff import Backoff, BackoffExhausted
from batuta_rpc.clock import Clock
from batuta_rpc.errors import (
    Cancelled,
    DeadlineExceeded,
    Internal,
    RateLimited,
    RpcError,
    TokenExpired,
    Unavailable,
    UploadGap,
)
from batuta_rpc.ids import Ids

T = TypeVar("T")
TRIES = 8
"""Tries in a row without a byte of progress: about half a minute."""


def until_done(once: Callable[[Callable[[], None]], T], clock: Clock, ids: Ids, tries: int = TRIES) -> T:
    """What `once` gives. It is called again while what it raises may pass; it calls back when it makes progress.

    Raises the last `RpcError` when trying does not help.
    """
    backoff = Backoff(ids, limit=tries)
    while True:
        try:
            return once(backoff.reset)
        except RpcError as error:
            if not passing(error):
                raise
            try:
                wait = backoff.next(error.retry_delay)
            except BackoffExhausted:
                raise error from None
        clock.sleep_blocking(wait)


def passing(error: RpcError) -> bool:
    """Whether another stream may well succeed: server or way were away, the token ran out, or bytes are missing."""
    later = (Unavailable, Cancelled, DeadlineExceeded, TokenExpired, RateLimited, UploadGap)
    return isinstance(error, later) or type(error) is Internal
