"""What a database counts: commits, how many changes each one stored, how long it took, what waits, what failed."""

from __future__ import annotations

from batuta_chassis.meters import SIZES, Cells, Family, Sample, gauge


class DatabaseMeter:
    """Written by the writer's thread, read by the event loop: a number may be one commit behind another."""

    def __init__(self) -> None:
        self._seconds = Cells()
        self._sizes = Cells(SIZES)
        self._failed = 0
        self.waiting = 0
        """Changes that wait for a commit, bulk data left out."""
        self.bulk_waiting = 0
        """Bytes of bulk data that wait."""

    def stored(self, size: int, seconds: float) -> None:
        """A group of changes is durable."""
        self._seconds.note(seconds)
        self._sizes.note(size)

    def failed(self, size: int) -> None:
        """A group of changes could not be stored."""
        self._failed += size

    async def read(self) -> list[Family]:
        """See `Meter`."""
        return [
            Family(
                "batuta_database_commit_seconds",
                "histogram",
                "how long commits took, with the changes in them",
                self._seconds.samples({}),
            ),
            Family("batuta_database_group", "histogram", "changes in one commit", self._sizes.samples({})),
            Family(
                "batuta_database_failed_changes",
                "counter",
                "changes that the database did not take: disk full, server away",
                [Sample("_total", {}, self._failed)],
            ),
            gauge("batuta_database_waiting", "changes that wait for a commit", self.waiting),
            gauge("batuta_database_waiting_bytes", "bulk data that waits for a commit", self.bulk_waiting),
        ]
