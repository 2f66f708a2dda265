"""What a log is: bytes by (attempt, producer, offset), shown in the order in which they arrived."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Stream:
    """One producer's log of one attempt."""

    task_id: str
    attempt: int
    producer: str


@dataclass(frozen=True)
class Chunk:
    """Bytes that a producer wrote together, beginning at `offset` of its log."""

    offset: int
    data: bytes
    time_unix_millis: int = 0

    @property
    def end(self) -> int:
        """The offset after the last byte."""
        return self.offset + len(self.data)


@dataclass(frozen=True)
class StoredChunk:
    """A chunk at its place in the task's log. Positions grow by one per chunk and task, in order of arrival."""

    position: int
    attempt: int
    producer: str
    offset: int
    data: bytes
    time_unix_millis: int


class Gap(Exception):
    """A chunk begins after the end of what is stored."""

    def __init__(self, committed: int, offset: int) -> None:
        super().__init__(f"the chunk begins at {offset}, but only the bytes before {committed} are stored: go on there")
        self.committed = committed
        self.offset = offset


def fit(committed: int, chunks: list[Chunk]) -> tuple[int, list[Chunk]]:
    """What of `chunks` is new after `committed` bytes, and how many bytes are stored then.

    Bytes that are stored already are passed over. Raises `Gap`.
    """
    new: list[Chunk] = []
    for chunk in chunks:
        if chunk.offset > committed:
            raise Gap(committed, chunk.offset)
        if chunk.end > committed:
            rest = chunk.data[committed - chunk.offset :]
            new.append(replace(chunk, offset=committed, data=rest))
            committed = chunk.end
    return committed, new
