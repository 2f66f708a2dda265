"""What the API counts: its place in the queue service's event log, and the bytes that runs send."""

from __future__ import annotations

from batuta_api.tasks.link import Link
from batuta_api.work import Works
from batuta_chassis.meters import WAITS, Counter, Family, Histogram, Looked, gauge
from batuta_rpc.clock import Clock


class Arrivals:
    """What runs send, and what the queue service tells."""

    def __init__(self) -> None:
        self.log_bytes = Counter("batuta_log_bytes", "bytes of log that runs sent")
        self.scalar_bytes = Counter("batuta_scalar_bytes", "bytes of scalars that runs sent")
        self.event_seconds = Histogram(
            "batuta_event_lag_seconds", "from an event at the queue service until its task has moved", WAITS
        )

    async def read(self) -> list[Family]:
        """See `Meter`."""
        return [
            *(await self.log_bytes.read()),
            *(await self.scalar_bytes.read()),
            *(await self.event_seconds.read()),
        ]


def cursor_meter(works: Works, link: Link, clock: Clock) -> Looked:
    """Where the API stands in the event log. Subtract it from `batuta_event_log_position`."""

    async def look() -> list[Family]:
        cursor = await works.read(lambda work: work.cursor.get())
        position = 0 if cursor is None else cursor.position
        return [
            gauge("batuta_event_cursor_position", "newest event of the queue service that was applied", position),
            gauge("batuta_queue_link_up", "1 while the queue service answers", int(link.is_up)),
        ]

    return Looked(look, clock)
