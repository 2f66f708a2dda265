"""What an attempt tells of the trace that its assignment belongs to: how long it was prepared and how long it ran."""

from __future__ import annotations

from batuta_agent.model import Ending, Phase, Ref
from batuta_proto.agents import v1 as agents
from batuta_rpc import trace
from batuta_rpc.ids import Ids
from batuta_rpc.trace import Span, Tracer


class AttemptTrace:
    """The trace of one attempt; without one nothing is told."""

    def __init__(self, ref: Ref, assignment: agents.Assignment, agent: str, tracer: Tracer, ids: Ids) -> None:
        given = assignment.traceparent
        self._parent = given if trace.valid(given) else ""
        self._tracer = tracer
        self._ids = ids
        self._wanted = bool(self._parent) and tracer.wants(self._parent)
        self._told = {"batuta.task": ref.task_id, "batuta.attempt": ref.attempt, "batuta.agent": agent}
        # The agent may be replaced while the process runs: the next one must know its span again.
        self._run = trace.named_child(self._parent, f"{ref}/run") if self._wanted else self._parent

    @property
    def of_the_run(self) -> str:
        """What the user's process and its courier belong to; empty: to nothing."""
        return self._run

    def prepared(self, start: int, end: int, failed: str = "") -> None:
        """Code and environment are ready, or not. Nanoseconds since 1970."""
        if self._wanted:
            own = trace.child(self._parent, self._ids, sampled=True)
            self._tracer.add(Span("prepare", own, self._parent, start, end, failed=failed, attributes=self._told))

    def ran(self, start_millis: int, end: int, ended: Ending) -> None:
        """The user's process has ended."""
        if self._wanted and start_millis:
            failed = "" if ended.phase is Phase.SUCCEEDED else ended.reason or ended.phase.name
            start = start_millis * 1_000_000
            self._tracer.add(Span("run", self._run, self._parent, start, end, failed=failed, attributes=self._told))
