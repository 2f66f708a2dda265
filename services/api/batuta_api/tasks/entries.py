"""What the queue service gets of a task, and its events as the model reads them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from google.rpc import error_details_pb2, status_pb2

from batuta_api.moments import moment
from batuta_api.tasks import convert
from batuta_api.tasks.events import EntryEvent
from batuta_api.tasks.model import EntryState, Phase, Task
from batuta_api.tasks.store import Cursor
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_rpc import trace

PAYLOAD_BYTES = 256 * 1024
"""The largest task that travels along; the agent fetches a larger one itself."""
MEDIA_TYPE = "application/x-protobuf;type=batuta.tasks.v1.Task"


def submission(task: Task, shown: tasks.Task) -> bytes:
    """A serialized SubmitEntryRequest for a task that has been queued; `shown` is the whole of it for the agent."""
    status = task.status
    payload = shown.SerializeToString()
    fits = len(payload) <= PAYLOAD_BYTES
    return queues.SubmitEntryRequest(
        entry_id=status.entry_id,
        envelope=queues.SchedulingEnvelope(
            queue_id=status.queue_id,
            task_id=task.id,
            priority=status.priority,
            owner=task.owner[:128],
            project_id=task.project_id,
            resources=convert.resources(task.resources),
            retry=convert.retry(task.retry),
            attempt_floor=status.attempt,
        ),
        payload=payload if fits else b"",
        payload_media_type=MEDIA_TYPE,
        traceparent=trace.trace_parent.get() or "",
    ).SerializeToString()


def withdrawal(entry_id: str) -> bytes:
    """A serialized WithdrawEntryRequest."""
    return queues.WithdrawEntryRequest(entry_id=entry_id).SerializeToString()


def event(told: queues.EntryEvent) -> EntryEvent | None:
    """One event of the log; None for one whose state this release does not know."""
    if int(told.entry_state) not in {int(state) for state in EntryState}:
        return None
    known = int(told.phase) in {int(phase) for phase in Phase}
    reason, message = _why(told.reason)
    return EntryEvent(
        entry_id=told.entry_id,
        task_id=told.task_id,
        entry_state=EntryState(told.entry_state),
        attempt=told.attempt,
        phase=Phase(told.phase) if known else Phase.NONE,
        agent_id=told.agent_id,
        host=told.host,
        reason=reason,
        message=message,
        exit_code=told.exit_code if told.HasField("exit_code") else None,
        signal=told.signal if told.HasField("signal") else None,
        tails=convert.tails(told.tails),
        event_time=_event_time(told),
        queue_id=told.queue_id,
    )


def asked(entry_ids: Iterable[str]) -> queues.BatchGetEntriesRequest:
    """The question what has become of entries."""
    return queues.BatchGetEntriesRequest(entry_ids=list(entry_ids))


def cursor(told: queues.Cursor) -> Cursor:
    """A place in the log."""
    return Cursor(told.log_epoch, told.position)


def watch_after(known: Cursor | None) -> queues.WatchAttemptsRequest:
    """The request for what comes after a place."""
    if known is None:
        return queues.WatchAttemptsRequest()
    return queues.WatchAttemptsRequest(after=queues.Cursor(log_epoch=known.log_epoch, position=known.position))


def _event_time(told: queues.EntryEvent) -> datetime | None:
    """When it happened; None when the clock that saw it is beyond all dates."""
    try:
        return moment(told.event_time) if told.HasField("event_time") else None
    except OverflowError:
        return None


def _why(status: status_pb2.Status) -> tuple[str, str]:
    """The reason in one word, and the message."""
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            return info.reason, status.message
    return "", status.message
