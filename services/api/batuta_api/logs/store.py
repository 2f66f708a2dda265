"""What is kept of logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from batuta_api.logs.model import Chunk, StoredChunk, Stream


class LogStore(Protocol):
    """The logs of one transaction."""

    def committed(self, stream: Stream) -> int:
        """How many bytes of one producer's log are stored."""
        ...

    def attempt_size(self, task_id: str, attempt: int) -> int:
        """How many bytes of the logs of one attempt are stored."""
        ...

    def append(self, stream: Stream, chunks: Sequence[Chunk]) -> None:
        """Keep chunks that follow each other and what is stored; they come after all others of the task."""
        ...

    def read(self, task_id: str, attempt: int, after: int, limit_bytes: int) -> list[StoredChunk]:
        """The next chunks after a position: at least one, and no more when `limit_bytes` are reached.

        `attempt` 0 is all attempts.
        """
        ...

    def tail_position(self, task_id: str, attempt: int, tail_bytes: int) -> tuple[int, int]:
        """Where the last `tail_bytes` bytes begin: read after this position, and pass over so many bytes of the first
        chunk."""
        ...

    def drop(self, task_id: str, *, for_good: bool = False) -> None:
        """Delete a task's logs. Positions go on counting, unless the task itself goes."""
        ...
