"""How much log one attempt may write, and what readers see where it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from batuta_api import topics
from batuta_api.logs.model import Chunk, Stream
from batuta_api.work import Work
from batuta_rpc.errors import LogQuota

NOTE = "batuta.quota"
"""The producer under whose name the note stands."""


def fitting(work: Work, stream: Stream, new: Sequence[Chunk]) -> list[Chunk]:
    """What of new chunks still has room; the last one may be cut."""
    room = work.limits.log_bytes_per_attempt - work.logs.attempt_size(stream.task_id, stream.attempt)
    kept: list[Chunk] = []
    for chunk in new:
        if room <= 0:
            break
        kept.append(chunk if len(chunk.data) <= room else replace(chunk, data=chunk.data[:room]))
        room -= len(chunk.data)
    return kept


def spent(work: Work, task_id: str, attempt: int) -> bool:
    """Whether an attempt has written all it may: nothing more of it will ever be stored."""
    return work.logs.committed(Stream(task_id, attempt, NOTE)) > 0


def write_note(work: Work, stream: Stream, millis: int) -> None:
    """Say in the log, once, that it ends here."""
    if spent(work, stream.task_id, stream.attempt):
        return
    text = (
        f"\n[batuta] The log of attempt {stream.attempt} has reached its quota of "
        f"{work.limits.log_bytes_per_attempt} bytes. What the attempt writes from here on is not stored.\n"
    )
    work.logs.append(Stream(stream.task_id, stream.attempt, NOTE), [Chunk(0, text.encode(), millis)])
    work.announce(topics.log(stream.task_id))


def refusal(stream: Stream, committed: int, limit: int) -> LogQuota:
    """What the writer is told: nothing after `committed` is stored, so it need not send it."""
    return LogQuota(
        f"attempt {stream.attempt} of task {stream.task_id} has written {limit} bytes of log, which is all it may: "
        f"of {stream.producer} the bytes before {committed} are stored, and nothing after them will be",
        resource=("task", stream.task_id),
        task_id=stream.task_id,
        attempt=stream.attempt,
        producer=stream.producer,
        committed_offset=committed,
        limit="log_bytes_per_attempt",
    )
