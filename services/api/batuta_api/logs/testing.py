"""Logs in memory, for tests."""

from __future__ import annotations

from collections.abc import Sequence

from batuta_api.logs.model import Chunk, StoredChunk, Stream


class MemoryLogStore:
    """`LogStore` in dictionaries."""

    def __init__(self) -> None:
        self._chunks: dict[str, list[StoredChunk]] = {}
        self._last: dict[str, int] = {}
        self._committed: dict[Stream, int] = {}

    def committed(self, stream: Stream) -> int:
        """How many bytes of one producer's log are stored."""
        return self._committed.get(stream, 0)

    def attempt_size(self, task_id: str, attempt: int) -> int:
        """How many bytes of the logs of one attempt are stored."""
        return sum(len(chunk.data) for chunk in self._chunks.get(task_id, []) if chunk.attempt == attempt)

    def append(self, stream: Stream, chunks: Sequence[Chunk]) -> None:
        """Keep chunks that follow each other and what is stored."""
        for chunk in chunks:
            position = self._last[stream.task_id] = self._last.get(stream.task_id, 0) + 1
            self._chunks.setdefault(stream.task_id, []).append(
                StoredChunk(position, stream.attempt, stream.producer, chunk.offset, chunk.data, chunk.time_unix_millis)
            )
            self._committed[stream] = chunk.end

    def read(self, task_id: str, attempt: int, after: int, limit_bytes: int) -> list[StoredChunk]:
        """The next chunks after a position."""
        found: list[StoredChunk] = []
        for chunk in self._of(task_id, attempt):
            if chunk.position > after and sum(len(each.data) for each in found) < limit_bytes:
                found.append(chunk)
        return found

    def tail_position(self, task_id: str, attempt: int, tail_bytes: int) -> tuple[int, int]:
        """Where the last `tail_bytes` bytes begin."""
        missing = tail_bytes
        for chunk in reversed(self._of(task_id, attempt)):
            if len(chunk.data) >= missing:
                return chunk.position - 1, len(chunk.data) - missing
            missing -= len(chunk.data)
        return 0, 0

    def _of(self, task_id: str, attempt: int) -> list[StoredChunk]:
        return [chunk for chunk in self._chunks.get(task_id, []) if attempt in (0, chunk.attempt)]

    def drop(self, task_id: str, *, for_good: bool = False) -> None:
        """Delete a task's logs."""
        self._chunks.pop(task_id, None)
        self._committed = {key: end for key, end in self._committed.items() if key.task_id != task_id}
