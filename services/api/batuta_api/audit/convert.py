"""The trail between the contract and the domain."""

from __future__ import annotations

from batuta_api.audit.changes import Change, Sought
from batuta_api.audit.store import Refused
from batuta_api.moments import moment, stamp
from batuta_api.violations import violation
from batuta_proto.audit import v1 as audit


def sought(asked: audit.ListChangesRequest.Filter) -> Sought:
    """Which changes are asked for. Raises `FieldViolation`."""
    try:
        start = moment(getattr(asked, "from")) if asked.HasField("from") else None
        until = moment(asked.until) if asked.HasField("until") else None
    except OverflowError:
        raise violation("filter.from", "is beyond the year 9999, as until may be") from None
    return Sought(asked.subject, asked.method, asked.resource_id, start, until)


def change(kept: Change) -> audit.Change:
    """A change as the contract tells it."""
    return audit.Change(
        id=kept.id,
        time=stamp(kept.time),
        subject=kept.subject,
        access_key=kept.access_key,
        peer=kept.peer,
        client=kept.client,
        method=kept.method,
        resource_type=kept.resource_type,
        resource_id=kept.resource_id,
        request=kept.request,
        request_id=kept.request_id,
        outcome=kept.outcome,
    )


def refusal(kept: Refused) -> audit.Refusal:
    """A refusal as the contract tells it."""
    return audit.Refusal(
        time=stamp(kept.time),
        last_time=None if kept.last_time is None else stamp(kept.last_time),
        subject=kept.subject,
        method=kept.method,
        reason=kept.reason,
        task_id=kept.task_id,
        attempt=kept.attempt,
        message=kept.message,
        count=kept.count,
    )
