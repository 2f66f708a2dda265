"""One trace from the call that enqueues a task to the agent that takes it, at a collector of ours over OTLP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from batuta_api.__main__ import build as build_api
from batuta_chassis.testing import running
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_queue.__main__ import build as build_queue
from batuta_queue.testing_agent import FakeAgent, submit_request
from batuta_rpc import trace

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Collector:
    """Takes OTLP over HTTP and keeps the spans, each with the service that it came from."""

    endpoint: str = ""
    spans: list[tuple[str, Any]] = field(default_factory=list[Any])

    def take(self, body: bytes) -> None:
        """One export."""
        for each in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = next(a.value.string_value for a in each.resource.attributes if a.key == "service.name")
            self.spans.extend((service, span) for scope in each.scope_spans for span in scope.spans)

    def of(self, trace_id: str) -> dict[str, Any]:
        """The spans of one trace, by service and name."""
        return {f"{service} {span.name}": span for service, span in self.spans if span.trace_id.hex() == trace_id}


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A running collector."""
    kept = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Quietly."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield kept
    server.shutdown()
    thread.join()
    server.server_close()


async def one_task(tmp_path: Path, make_stubs: Any, **settings: Any) -> Any:
    """Enqueue a task within the trace `GIVEN` and have an agent take it. Returns the assignment."""
    keys = tmp_path / "keys"
    async with running(build_queue, tmp_path / "queue", service="queue", keys_dir=keys, **settings) as queue:
        more: dict[str, Any] = {"queue_endpoint": queue.settings.endpoint, "keys_dir": keys, **settings}
        async with running(build_api, tmp_path / "api", service="api", **more) as api:
            member = make_stubs(api)
            found = await member.queues.GetQueue(queues.GetQueueRequest(display_name="default"))
            agent = FakeAgent(queue.channel("agent", subject="agent:a"), [found.queue.id], "a")
            await agent.connect()
            await agent.beat()
            made = await member.draft(source=tasks.Source(script="x"))
            with trace.using(GIVEN):
                await member.tasks.EnqueueTask(tasks.EnqueueTaskRequest(task_id=made.id, queue_name="default"))
            assignment = await agent.next("assignment")
            await agent.accept(assignment)
            await member.until(made.id, lambda seen: seen.status.attempt == 1)
            return assignment


async def test_one_trace_goes_over_api_outbox_and_queue_to_the_agent(
    tmp_path: Path, make_stubs: Any, collector: Collector
) -> None:
    assignment = await one_task(tmp_path, make_stubs, trace_endpoint=collector.endpoint, trace_share=0.0)
    spans = collector.of(trace.trace_id(GIVEN))
    enqueue = spans["batuta-api batuta.tasks.v1.TaskService/EnqueueTask"]
    outbox = spans["batuta-api outbox submit"]
    submit = spans["batuta-queue batuta.queues.v1.QueueService/SubmitEntry"]
    wait, offer = spans["batuta-queue queue wait"], spans["batuta-queue queue offer"]
    assert enqueue.parent_span_id.hex() == trace.span_id(GIVEN)
    assert outbox.parent_span_id == enqueue.span_id
    assert submit.parent_span_id == outbox.span_id
    assert wait.parent_span_id == offer.parent_span_id == submit.span_id
    assert trace.trace_id(assignment.traceparent) == trace.trace_id(GIVEN)
    assert trace.span_id(assignment.traceparent) == submit.span_id.hex()
    assert trace.is_sampled(assignment.traceparent)
    assert wait.end_time_unix_nano == offer.start_time_unix_nano <= offer.end_time_unix_nano
    told = {each.key: each.value.string_value for each in offer.attributes}
    assert (told["batuta.agent"], told["batuta.task"]) == ("a", assignment.ref.task_id)
    # With a share of nothing the other calls leave no spans.
    assert {span.trace_id.hex() for _, span in collector.spans} == {trace.trace_id(GIVEN)}


async def test_without_a_collector_the_trace_still_arrives(tmp_path: Path, make_stubs: Any) -> None:
    assignment = await one_task(tmp_path, make_stubs)
    assert assignment.traceparent == GIVEN


async def test_a_collector_that_is_away_holds_nobody_up(tmp_path: Path, make_stubs: Any) -> None:
    assignment = await one_task(tmp_path, make_stubs, trace_endpoint="http://127.0.0.1:9")
    assert trace.trace_id(assignment.traceparent) == trace.trace_id(GIVEN)


async def test_an_entry_of_many_keeps_its_own_trace_over_a_restart(tmp_path: Path, make_stubs: Any) -> None:
    async with running(build_queue, tmp_path, service="queue") as queue:
        stub: Any = queues.QueueServiceStub(queue.channel("service", subject="service:api"))
        found = await stub.GetQueue(queues.GetQueueRequest(display_name="default"))
        entries = [submit_request(f"e{n}", found.queue.id, task_id=f"t{n}") for n in range(2)]
        entries[0].traceparent = GIVEN
        with trace.using("00-" + "1" * 32 + GIVEN[35:]):
            await stub.BatchSubmitEntries(queues.BatchSubmitEntriesRequest(entries=entries))
    async with running(build_queue, tmp_path, service="queue") as queue:
        agent = FakeAgent(queue.channel("agent", subject="agent:a"), [found.queue.id], "a", max_assignments=2)
        await agent.connect()
        await agent.beat(free=2)
        got = [await agent.next("assignment") for _ in range(2)]
    assert {each.ref.task_id: trace.trace_id(each.traceparent) for each in got} == {
        "t0": trace.trace_id(GIVEN),
        "t1": "1" * 32,
    }
