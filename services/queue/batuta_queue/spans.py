"""What the broker tells of a trace: how long an entry waited, and how long its agent took to answer."""

from __future__ import annotations

from batuta_queue.model import Attempt, Entry
from batuta_rpc import trace
from batuta_rpc.ids import Ids
from batuta_rpc.trace import Span, Tracer

_MILLION = 1_000_000


class Spans:
    """Tells it once an offer is accepted."""

    def __init__(self, tracer: Tracer, ids: Ids) -> None:
        self._tracer = tracer
        self._ids = ids

    def accepted(self, entry: Entry, attempt: Attempt) -> None:
        """An agent has taken an entry."""
        parent = entry.traceparent
        if not parent or attempt.accept_millis is None or not self._tracer.wants(parent):
            return
        told = {
            "batuta.task": entry.task_id,
            "batuta.attempt": attempt.ref.attempt,
            "batuta.entry": entry.id,
            "batuta.queue": entry.queue_id,
            "batuta.agent": attempt.holder.agent_id,
        }
        ready = min(max(entry.wait_millis or entry.enqueue_millis, entry.not_before_millis), attempt.offer_millis)
        times = (
            ("queue wait", ready, attempt.offer_millis),
            ("queue offer", attempt.offer_millis, attempt.accept_millis),
        )
        for name, start, end in times:
            own = trace.child(parent, self._ids, sampled=True)
            self._tracer.add(Span(name, own, parent, start * _MILLION, end * _MILLION, attributes=told))
