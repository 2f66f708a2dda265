"""Between the contract's messages and the model: queues, entries, events. No I/O."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from google.protobuf import duration_pb2, timestamp_pb2
from google.rpc import error_details_pb2, status_pb2

from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types
from batuta_queue.model import (
    Cancel,
    CancelReason,
    Entry,
    EntryState,
    Event,
    LeasePolicy,
    Payload,
    Queue,
    QueueCounts,
    Reason,
    Resources,
    Tail,
)
from batuta_rpc import trace
from batuta_rpc.errors import FieldViolation

DOMAIN = "batuta"
_PATHS = ("display_name", "description", "spec.lease_policy")
_NAME = re.compile(r"(?=.{1,256}\Z)[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?", re.ASCII | re.DOTALL)
"""As in CreateQueueRequest."""


def timestamp(millis: int) -> timestamp_pb2.Timestamp:
    """Milliseconds since 1970 as a Timestamp."""
    return timestamp_pb2.Timestamp(seconds=millis // 1000, nanos=millis % 1000 * 1_000_000)


def millis_of(time: timestamp_pb2.Timestamp) -> int:
    """A Timestamp in milliseconds since 1970."""
    return time.seconds * 1000 + time.nanos // 1_000_000


def duration(seconds: float) -> duration_pb2.Duration:
    """Seconds as a Duration."""
    nanos = round(seconds * 1_000_000_000)
    return duration_pb2.Duration(seconds=nanos // 1_000_000_000, nanos=nanos % 1_000_000_000)


def seconds_of(span: duration_pb2.Duration) -> float:
    """A Duration in seconds."""
    return span.seconds + span.nanos / 1e9


def queue_message(queue: Queue, counts: QueueCounts, agent_count: int) -> queues.Queue:
    """A queue with what the broker sees of it."""
    message = queues.Queue(
        id=queue.id,
        etag=queue.etag,
        display_name=queue.name,
        description=queue.description,
        spec=queues.QueueSpec(lease_policy=cast("types.LeasePolicy", int(queue.lease_policy))),
        status=queues.QueueStatus(
            waiting_count=counts.waiting,
            running_count=counts.running,
            agent_count=agent_count,
            held_count=counts.held,
        ),
        create_time=timestamp(queue.create_millis),
    )
    if queue.pause is not None:
        message.status.pause_time.CopyFrom(timestamp(queue.pause.millis))
        message.status.paused_by = queue.pause.by
    return message


def queue_fields(asked: queues.Queue, paths: Sequence[str]) -> dict[str, Any]:
    """The fields of the model that a mask names. Raises `FieldViolation` for a path that is none, and a bad name."""
    if not paths:
        raise _bad("update_mask", f"names nothing; the paths are: {', '.join(_PATHS)}, or `*` for all of them")
    wanted = _PATHS if list(paths) == ["*"] else paths
    for path in wanted:
        if path not in _PATHS:
            raise _bad("update_mask", f"{path!r} cannot be set; the paths are: {', '.join(_PATHS)}")
    fields: dict[str, Any] = {}
    if "display_name" in wanted:
        if not _NAME.fullmatch(asked.display_name):
            raise _bad("queue.display_name", "must be 1 to 256 printable characters without a space at either end")
        fields["name"] = unicodedata.normalize("NFC", asked.display_name)
    if "description" in wanted:
        fields["description"] = asked.description
    if "spec.lease_policy" in wanted:
        fields["lease_policy"] = policy_of(asked.spec.lease_policy) or LeasePolicy.STRICT
    return fields


def _bad(field: str, text: str) -> FieldViolation:
    return FieldViolation(f"{field}: {text}", field_violations=[(field, text)], field=field)


def entry_message(entry: Entry, now: int, place: int = 0) -> queues.Entry:
    """An entry as people see it; `now` tells whether its pause is over."""
    pauses = entry.state is EntryState.WAITING and entry.not_before_millis > now
    return queues.Entry(
        id=entry.id,
        task_id=entry.task_id,
        queue_id=entry.queue_id,
        state=cast("queues.EntryState", int(entry.state)),
        hold_reason=entry.hold_reason,
        priority=entry.priority,
        attempt=entry.attempt,
        agent_id=entry.agent_id,
        enqueue_time=timestamp(entry.enqueue_millis),
        infrastructure_losses=entry.losses,
        failures=entry.failures,
        preemptions=entry.preemptions,
        not_before_time=timestamp(entry.not_before_millis) if pauses else None,
        place=place,
        wait_time=timestamp(entry.wait_millis) if entry.state < EntryState.RUNNING else None,
    )


def new_entry(request: queues.SubmitEntryRequest, now: int) -> tuple[Entry, Payload]:
    """The entry that a submit asks for. An envelope that names no policy leaves it to the queue: see `housed`."""
    envelope, retry = request.envelope, request.envelope.retry
    limited = retry.HasField("time_limit")
    entry = Entry(
        id=request.entry_id,
        task_id=envelope.task_id,
        queue_id=envelope.queue_id,
        state=EntryState.WAITING,
        enqueue_millis=now,
        priority=envelope.priority,
        owner=envelope.owner,
        project_id=envelope.project_id,
        resources=resources_of(envelope.resources),
        policy=policy_of(retry.lease_policy),
        max_losses=retry.max_infrastructure_losses if retry.HasField("max_infrastructure_losses") else 3,
        max_failures=retry.max_failures,
        time_limit_millis=round(seconds_of(retry.time_limit) * 1000) if limited else None,
        attempt=envelope.attempt_floor,
        traceparent=_trace(request.traceparent),
        wait_millis=now,
    )
    return entry, Payload(request.payload, request.payload_media_type)


def _trace(given: str) -> str:
    """The trace of an entry: that of the call, where it is the same or the submitter names none."""
    here = trace.trace_parent.get() or ""
    if not trace.valid(given):
        return here
    return here if here and trace.trace_id(here) == trace.trace_id(given) else given


def housed(entry: Entry, policy: LeasePolicy) -> Entry:
    """The entry with its queue's policy where it brought none."""
    return entry if entry.policy else replace(entry, policy=policy or LeasePolicy.STRICT)


def cancel_of(request: queues.WithdrawEntryRequest, default_grace: float) -> Cancel:
    """The wish that a withdrawal is, for an entry that runs."""
    grace = seconds_of(request.grace) if request.HasField("grace") else default_grace
    return Cancel(max(0, round(grace * 1000)), CancelReason.USER)


def event_message(event: Event) -> queues.EntryEvent:
    """An event as the log's readers see it."""
    message = queues.EntryEvent(
        position=event.position,
        entry_id=event.entry_id,
        task_id=event.task_id,
        entry_state=cast("queues.EntryState", int(event.entry_state)),
        attempt=event.attempt,
        phase=cast("types.AttemptPhase", int(event.phase)),
        agent_id=event.agent_id,
        host=event.host,
        reason=None if event.reason is None else status_of(event.reason),
        exit_code=event.exit_code,
        signal=event.signal,
        event_time=timestamp(event.event_millis),
        queue_id=event.queue_id,
    )
    for tail in event.tails:
        message.tails.add(producer=tail.producer, kind=cast("types.TailKind", tail.kind), end=tail.end)
    return message


def status_of(reason: Reason) -> status_pb2.Status:
    """A reason as a `google.rpc.Status`: the agent's own, or one with ErrorInfo."""
    if reason.status:
        return status_pb2.Status.FromString(reason.status)
    status = status_pb2.Status(code=reason.code, message=reason.message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason.name, domain=DOMAIN))
    return status


def reason_of(status: status_pb2.Status) -> Reason:
    """What an agent sent as the reason; its name is that of the ErrorInfo, or empty."""
    name = ""
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            name = info.reason
            break
    return Reason(name, status.message, status.code, status.SerializeToString())


def tail_of(tail: types.ProducerTail) -> Tail:
    """A producer's end."""
    return Tail(tail.producer, int(tail.kind), tail.end)


def resources_of(resources: types.Resources) -> Resources:
    """What is asked for or there."""
    return Resources(resources.cpus, resources.memory_bytes, resources.gpus)


def resources_message(resources: Resources) -> types.Resources:
    """What is asked for or there."""
    return types.Resources(cpus=resources.cpus, memory_bytes=resources.memory_bytes, gpus=resources.gpus)


def policy_of(number: int) -> LeasePolicy:
    """A lease policy; unspecified is falsy."""
    return LeasePolicy(number)
