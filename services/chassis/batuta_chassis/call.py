"""The call that is being served, as logs and traces know it: its request id and its place in a trace."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

from batuta_rpc import trace
from batuta_rpc.ids import Ids
from batuta_rpc.trace import Tracer

REQUEST_KEY = "x-request-id"
"""Metadata with which a caller names its request, so as to find it in our log."""
_REQUEST = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class OpenCall:
    """One call. Made for each of them, so what most never need is made when it is asked for."""

    __slots__ = ("_ids", "_request_id", "parent", "sampled", "traceparent")

    def __init__(self, metadata: Iterable[Any] | None, tracer: Tracer, ids: Ids, *, spans: bool) -> None:
        """`spans`: whether a call of this method is worth a span."""
        given, request_id = "", ""
        for key, value in metadata or ():
            if key == trace.KEY:
                given = value
            elif key == REQUEST_KEY and _REQUEST.fullmatch(str(value)):
                request_id = str(value)
        self.parent = given if trace.valid(given) else ""
        self._ids = ids
        self._request_id = request_id
        base = self.parent or trace.begin(ids)
        self.sampled = spans and tracer.wants(base)
        self.traceparent = trace.child(base, ids, sampled=True) if self.sampled else base

    @property
    def request_id(self) -> str:
        """The caller's name for it, or one of ours."""
        if not self._request_id:
            self._request_id = self._ids.new_id()
        return self._request_id


_current: ContextVar[OpenCall | None] = ContextVar("batuta_call", default=None)


def current_call() -> OpenCall | None:
    """The call that the running task or use case serves; None outside of calls."""
    return _current.get()


def set_call(call: OpenCall) -> None:
    """Note the call, and have calls made while it is served belong to its trace. Each call runs in a task of its own,
    so nothing needs to be put back."""
    _current.set(call)
    trace.trace_parent.set(call.traceparent)
