"""Which failures pass, and which end the courier's work."""

from __future__ import annotations

import grpc

from batuta_rpc.errors import LogGap, RpcError, TokenExpired, TooLarge

_PASSING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)


def passes(error: RpcError) -> bool:
    """Whether trying again later can help. A gap and an expired token are mended by opening the stream again."""
    if isinstance(error, TooLarge):  # RESOURCE_EXHAUSTED too, but what is too large does not shrink by waiting
        return False
    return error.code in _PASSING or isinstance(error, (LogGap, TokenExpired))
