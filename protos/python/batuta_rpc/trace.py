"""Which trace something belongs to: the `traceparent` of W3C Trace Context, as text, handed on from call to call.

That much needs no package and works everywhere: from a script over API, outbox, queue and agent into the task's own
process, and in every line of a service's log. Spans, which say how long each part took, are made only where a `Tracer`
collects them (`batuta_rpc.trace_export`).
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from batuta_rpc.ids import Ids

KEY = "traceparent"
"""The metadata key."""
VARIABLE = "TRACEPARENT"
"""The environment variable of a process that belongs to a trace."""
_FORM = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

trace_parent: ContextVar[str | None] = ContextVar("batuta_trace_parent", default=None)
"""The `traceparent` of what runs now; calls made meanwhile carry it."""


def valid(text: str) -> bool:
    """Whether it can be read. What cannot is treated as if nobody had sent it."""
    return len(text) == 55 and _FORM.fullmatch(text) is not None


def begin(ids: Ids) -> str:
    """A trace of its own, of which nobody has decided yet whether its spans are collected."""
    chance = ids.new_id()
    return f"00-{chance}-{chance[16:]}-00"


def child(parent: str, ids: Ids, *, sampled: bool | None = None) -> str:
    """A new span in the trace of `parent`. `sampled`: whether spans are collected; None: as in the parent."""
    return _span(parent, ids.new_id()[16:], sampled)


def named_child(parent: str, name: str) -> str:
    """The same span whenever it is asked for: of something that goes on over a restart of who looks after it."""
    return _span(parent, hashlib.sha256(f"{parent}/{name}".encode()).hexdigest()[:16], None)


def _span(parent: str, span_id: str, sampled: bool | None) -> str:
    flags = parent[53:] if sampled is None else "01" if sampled else "00"
    return f"{parent[:36]}{span_id}-{flags}"


def trace_id(traceparent: str) -> str:
    """32 hex digits."""
    return traceparent[3:35]


def span_id(traceparent: str) -> str:
    """16 hex digits."""
    return traceparent[36:52]


def is_sampled(traceparent: str) -> bool:
    """Whether whoever sent it collects spans of this trace."""
    return bool(traceparent) and bool(int(traceparent[53:], 16) & 1)


def current(env: Mapping[str, str] | None = None) -> str | None:
    """The trace of what runs now: ours, else that of OpenTelemetry where the process uses it, else the variable's."""
    mine = trace_parent.get()
    if mine is not None:
        return mine
    return _theirs() or _of_process((os.environ if env is None else env).get(VARIABLE, ""))


def _of_process(text: str) -> str | None:
    return text if valid(text) else None


def _theirs() -> str | None:
    """The span in which the user's own code stands. Looked at only where that code has loaded OpenTelemetry."""
    library: Any = sys.modules.get("opentelemetry.trace")
    if library is None:
        return None
    context = library.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags) & 1:02x}"


@contextmanager
def using(traceparent: str | None) -> Generator[None, None, None]:
    """Have calls made within carry this one; nothing changes where there is none."""
    if not traceparent:
        yield
        return
    token = trace_parent.set(traceparent)
    try:
        yield
    finally:
        trace_parent.reset(token)


@dataclass(frozen=True)
class Span:
    """How long one part of a trace took. Times are nanoseconds since 1970."""

    name: str
    traceparent: str
    """Its own."""
    parent: str
    """That of the span it is part of; empty: it begins the trace."""
    start: int
    end: int
    kind: str = "internal"
    """`internal`, `server`, `client`, `producer` or `consumer`."""
    failed: str = ""
    """Why it failed; empty: it did not."""
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Tracer(Protocol):
    """Collects spans."""

    def wants(self, traceparent: str) -> bool:
        """Whether spans of this trace are collected."""
        ...

    def add(self, span: Span) -> None:
        """Take a span. Does not wait."""
        ...

    def close(self) -> None:
        """Send what is left, for some seconds at most. Blocks."""
        ...


class NoTracer:
    """Where nobody collects."""

    def wants(self, traceparent: str) -> bool:
        """No."""
        return False

    def add(self, span: Span) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is left."""


NO_TRACER = NoTracer()
