"""What an agent tells of the trace of an attempt."""

from __future__ import annotations

from batuta_agent.model import Ending, Phase, Ref
from batuta_agent.traced import AttemptTrace
from batuta_proto.agents import v1 as agents
from batuta_rpc import trace
from batuta_rpc.testing import SeededIds
from batuta_rpc.trace import Span

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
REF = Ref("task", 2)


class Kept:
    """Keeps spans of traces that somebody collects."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def wants(self, traceparent: str) -> bool:
        return trace.is_sampled(traceparent)

    def add(self, span: Span) -> None:
        self.spans.append(span)

    def close(self) -> None:
        """Nothing to send."""


def made(kept: Kept, given: str) -> AttemptTrace:
    return AttemptTrace(REF, agents.Assignment(traceparent=given), "rig", kept, SeededIds())


def test_preparation_and_run_are_parts_of_the_trace_that_the_assignment_names() -> None:
    kept = Kept()
    told = made(kept, GIVEN)
    told.prepared(1, 5)
    told.ran(6, 9_000_000, Ending(Phase.FAILED, "EXIT_CODE"))
    prepared, ran = kept.spans
    assert {prepared.parent, ran.parent} == {GIVEN}
    assert (prepared.name, prepared.failed, ran.name, ran.failed) == ("prepare", "", "run", "EXIT_CODE")
    assert (ran.start, ran.end) == (6_000_000, 9_000_000)
    assert dict(ran.attributes) == {"batuta.task": "task", "batuta.attempt": 2, "batuta.agent": "rig"}


def test_what_the_process_calls_stands_below_its_run_also_for_the_agents_successor() -> None:
    kept = Kept()
    before, after = made(kept, GIVEN), made(kept, GIVEN)
    after.ran(6, 9_000_000, Ending(Phase.SUCCEEDED))
    assert before.of_the_run == after.of_the_run == kept.spans[0].traceparent
    assert before.of_the_run != GIVEN


def test_a_trace_that_nobody_collects_is_handed_on_as_it_is() -> None:
    kept, quiet = Kept(), GIVEN[:-2] + "00"
    told = made(kept, quiet)
    told.prepared(1, 5)
    told.ran(6, 9_000_000, Ending(Phase.SUCCEEDED))
    assert (told.of_the_run, kept.spans) == (quiet, [])


def test_what_is_no_trace_is_not_handed_on() -> None:
    assert made(Kept(), "nonsense").of_the_run == ""
    assert made(Kept(), "").of_the_run == ""
