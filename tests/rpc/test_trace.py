"""Trace context: what can be read, what is handed on, and that it costs no package."""

from __future__ import annotations

import subprocess
import sys

import pytest

from batuta_rpc import trace
from batuta_rpc.testing import SeededIds

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        GIVEN.upper(),
        GIVEN + "-more",
        GIVEN[:-1],
        "00-" + "0" * 32 + GIVEN[35:],
        GIVEN[:36] + "0" * 16 + "-01",
        "01" + GIVEN[2:],
        GIVEN + "\n",
    ],
)
def test_what_cannot_be_read_is_no_trace(text: str) -> None:
    assert not trace.valid(text)


def test_a_new_trace_and_its_spans_can_be_read_and_belong_together() -> None:
    ids = SeededIds()
    begun = trace.begin(ids)
    below = trace.child(begun, ids, sampled=True)
    assert trace.valid(begun)
    assert trace.valid(below)
    assert trace.trace_id(below) == trace.trace_id(begun)
    assert trace.span_id(below) != trace.span_id(begun)
    assert (trace.is_sampled(begun), trace.is_sampled(below)) == (False, True)
    assert trace.child(GIVEN, ids).endswith("-01")


def test_a_named_span_is_the_same_after_a_restart() -> None:
    assert trace.named_child(GIVEN, "a/run") == trace.named_child(GIVEN, "a/run")
    assert trace.named_child(GIVEN, "a/run") != trace.named_child(GIVEN, "b/run")
    assert trace.valid(trace.named_child(GIVEN, "a/run"))


def test_ours_goes_before_the_variable_and_a_bad_variable_counts_as_none() -> None:
    other = trace.begin(SeededIds())
    assert trace.current({"TRACEPARENT": GIVEN}) == GIVEN
    assert trace.current({"TRACEPARENT": "x"}) is None
    assert trace.current({}) is None
    with trace.using(other):
        assert trace.current({"TRACEPARENT": GIVEN}) == other
        with trace.using(None):
            assert trace.current({}) == other
    assert trace.current({}) is None


def test_the_span_of_the_users_own_opentelemetry_is_taken() -> None:
    from opentelemetry.sdk.trace import TracerProvider

    with TracerProvider().get_tracer("theirs").start_as_current_span("training") as span:
        found = trace.current({})
    assert found is not None
    assert int(trace.trace_id(found), 16) == span.get_span_context().trace_id
    assert int(trace.span_id(found), 16) == span.get_span_context().span_id
    assert trace.is_sampled(found)


def test_handing_on_loads_no_opentelemetry() -> None:
    code = (
        "import sys\nfrom batuta_rpc import channel, trace, trace_export\n"
        "assert trace_export.open_tracer('', 'x') is trace.NO_TRACER\ntrace.current()\n"
        "sys.exit(str([name for name in sys.modules if name.startswith('opentelemetry')] or 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stderr.strip(), done.returncode) == ("0", 1)


def test_a_collector_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from batuta_rpc.trace_export import MissingLibrary, open_tracer

    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    with pytest.raises(MissingLibrary, match=r"pip install 'batuta\[otel\]'"):
        open_tracer("http://127.0.0.1:4318", "batuta-queue")


def test_an_undecided_trace_is_collected_by_its_id_alike_everywhere() -> None:
    from batuta_rpc.trace_export import OtelTracer

    ids = SeededIds()
    half, none = OtelTracer(None, "a", 0.5), OtelTracer(None, "b", 0.0)
    begun = [trace.begin(ids) for _ in range(400)]
    taken = sum(half.wants(each) for each in begun)
    assert 120 < taken < 280
    assert not any(none.wants(each) for each in begun)
    assert none.wants(GIVEN)  # somebody collects it already
