"""Writing logs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from batuta_api import topics
from batuta_api.logs.model import Chunk, Gap, Stream, fit
from batuta_api.tasks import admission
from batuta_api.tasks.model import TailKind
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_rpc.errors import LogGap, TooLarge

LIMIT_BYTES = 1 << 30
"""The log of one task, all attempts together."""


def append(
    work: Work, caller: Caller, stream: Stream, chunks: Sequence[Chunk], now: datetime, limit: int = LIMIT_BYTES
) -> int:
    """Store what is new of `chunks`; without bytes, only look. How many bytes of the stream are stored then.

    Raises `OtherTask`, `TaskNotFound`, `StaleAttempt`, `LogGap`, `TooLarge`.
    """
    filled = [chunk for chunk in chunks if chunk.data]
    end = max((chunk.end for chunk in filled), default=0)
    write = admission.Write(stream.task_id, stream.attempt, stream.producer, TailKind.LOG, end)
    task = admission.admit(work, caller, write, now)
    committed = work.logs.committed(stream)
    try:
        committed, new = fit(committed, filled)
    except Gap as gap:
        raise LogGap(
            str(gap), task_id=stream.task_id, producer=stream.producer, committed_offset=gap.committed
        ) from None
    if new:
        _check_room(work, stream.task_id, sum(len(chunk.data) for chunk in new), limit)
        work.logs.append(stream, new)
        admission.prove(work, task, now)
        work.announce(topics.log(stream.task_id))
    return committed


def _check_room(work: Work, task_id: str, more: int, limit: int) -> None:
    size = work.logs.size(task_id)
    if size + more > limit:
        raise TooLarge(
            f"the log of task {task_id} holds {size} bytes and may hold {limit}; what comes now is not kept",
            resource=("task", task_id),
            task_id=task_id,
            limit_bytes=limit,
        )
