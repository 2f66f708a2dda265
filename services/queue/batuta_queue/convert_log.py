"""Between the contract's messages and the parts of the event log. No I/O."""

from __future__ import annotations

from batuta_proto.queues import v1 as queues
from batuta_queue.convert import event_message
from batuta_queue.events import Part


def part_message(part: Part) -> queues.WatchAttemptsResponse:
    """A part of the log, or of the snapshot before it."""
    message = queues.WatchAttemptsResponse(
        events=map(event_message, part.events), snapshot=part.position is None, synced=part.synced
    )
    if part.position is not None:
        message.cursor.log_epoch, message.cursor.position = part.epoch, part.position
    return message
