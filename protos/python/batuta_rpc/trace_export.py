"""Spans on their way to a collector, over OTLP, by OpenTelemetry's own processor and exporter (the extra `otel`).

They carry the ids that `batuta_rpc.trace` has propagated, so OpenTelemetry makes none and needs no context.
"""

from __future__ import annotations

from typing import Any

from batuta_rpc import trace
from batuta_rpc.trace import NO_TRACER, Span, Tracer
from batuta_rpc.version import VERSION

ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""OpenTelemetry's own variable for where a collector listens."""
_CLOSE_MILLIS = 1_000
_SEND_SECONDS = 5
_KINDS = ("internal", "server", "client", "producer", "consumer")


class MissingLibrary(Exception):
    """A collector is configured and the extra is not installed."""


def open_tracer(endpoint: str, service: str, share: float = 1.0) -> Tracer:
    """A tracer that sends to `http://host:4318`; none for an empty endpoint.

    `share`: of traces about which their caller has not decided, so large a part is collected, by the trace's id.
    Raises `MissingLibrary`.
    """
    if not endpoint:
        return NO_TRACER
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingLibrary(
            f"traces to {endpoint} need OpenTelemetry: pip install 'batuta[otel]' (missing: {error.name or error})"
        ) from error
    url = endpoint.rstrip("/")
    url = url if url.endswith("/v1/traces") else f"{url}/v1/traces"
    return OtelTracer(BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=_SEND_SECONDS)), service, share)


class OtelTracer:
    """Hands spans to a span processor of OpenTelemetry."""

    def __init__(self, processor: Any, service: str, share: float = 1.0) -> None:
        """`processor` sends in a thread of its own and drops spans rather than wait."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        self._processor = processor
        self._bound = int(share * (1 << 60))
        self._resource = Resource.create({"service.name": service, "service.version": VERSION})
        self._scope = InstrumentationScope("batuta", VERSION)

    def wants(self, traceparent: str) -> bool:
        """Those that somebody collects already, and so many of the others."""
        return trace.is_sampled(traceparent) or int(traceparent[20:35], 16) < self._bound

    def add(self, span: Span) -> None:
        """Queue it for the next batch."""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanKind, Status, StatusCode

        context = _context(span.traceparent)
        status = Status(StatusCode.ERROR, span.failed) if span.failed else Status()
        self._processor.on_end(
            ReadableSpan(
                name=span.name,
                context=context,
                parent=_context(span.parent) if span.parent else None,
                resource=self._resource,
                attributes=dict(span.attributes),
                kind=list(SpanKind)[_KINDS.index(span.kind)],
                instrumentation_scope=self._scope,
                status=status,
                start_time=span.start,
                end_time=max(span.start, span.end),
            )
        )

    def close(self) -> None:
        """Send what is left, for some seconds at most."""
        self._processor.force_flush(_CLOSE_MILLIS)
        self._processor.shutdown()


def _context(traceparent: str) -> Any:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(
        int(trace.trace_id(traceparent), 16), int(trace.span_id(traceparent), 16), False, TraceFlags(TraceFlags.SAMPLED)
    )
