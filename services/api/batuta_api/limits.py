"""The limits of the API service. `--limit NAME=NUMBER` sets one; docs/operations.md lists them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from batuta_chassis.database_times import DatabaseTimes
from batuta_chassis.limits import limit
from batuta_rpc.errors import RateLimited


@dataclass(frozen=True)
class Limits(DatabaseTimes):
    """All of them, with their defaults."""

    log_bytes_per_attempt: int = limit(8 << 30, "log that one attempt may write, in bytes")
    log_bytes_in_flight: int = limit(
        16 << 20, "log that all writers together may have on its way to the disk, in bytes", low=1 << 20
    )
    log_writers: int = limit(10_000, "AppendLog streams at once")
    log_readers: int = limit(5_000, "ReadLog streams at once")
    task_watchers: int = limit(10_000, "WatchTask and WatchTasks streams at once")
    artifact_bytes: int = limit(100 << 30, "one artifact, in bytes")
    artifacts_per_task: int = limit(10_000, "artifacts of one task, all its attempts together")
    uploads_per_task: int = limit(100, "uploads of one task that have begun and not finished")
    upload_hours: int = limit(24, "hours after which an upload that nobody goes on with is given up")
    artifact_days: int = limit(0, "days after which an artifact goes that was uploaded without a ttl; 0: never", low=0)
    artifact_uploads: int = limit(500, "UploadArtifact streams at once")
    artifact_downloads: int = limit(1_000, "ReadArtifact streams at once")
    series_per_task: int = limit(50_000, "series of scalars that one task may have")
    attempts_per_task: int = limit(1_000, "attempts kept in the history of one task")
    deleted_days: int = limit(30, "days for which a deleted task can be undeleted")
    refusals: int = limit(1_000_000, "refused calls kept for those who ask")
    change_days: int = limit(730, "days for which the trail of changes is kept", low=30)
    request_hours: int = limit(24, "hours for which the answer to a request_id is kept")
    waiting_changes: int = limit(10_000, "changes that wait for the database at once")


DEFAULTS = Limits()


class Places:
    """So many at once, and one clear error for the next."""

    def __init__(self, name: str, count: int) -> None:
        """`name` is that of the limit."""
        self._name = name
        self._count = count
        self._taken = 0

    @contextmanager
    def one(self) -> Generator[None]:
        """Take a place as long as the block runs. Raises `RateLimited`."""
        if self._taken >= self._count:
            raise RateLimited(
                f"{self._taken} such streams are open already, and the limit {self._name} allows {self._count}; "
                "try again in a while",
                retry_delay=5.0,
                limit=self._name,
            )
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


class Budget:
    """Bytes that many may hold together. Who finds it spent waits, in the order of coming."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Take so many bytes, waiting for them where need be. Not more than there are at all."""
        if not self._line and size <= self._free:
            self._free -= size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(size)  # it had been given already
            else:
                self._line.remove((size, turn))
                self._serve()
            raise

    def give(self, size: int) -> None:
        """Give bytes back."""
        self._free += size
        self._serve()

    def _serve(self) -> None:
        while self._line and self._line[0][0] <= self._free:
            size, turn = self._line.popleft()
            if not turn.done():
                self._free -= size
                turn.set_result(None)
