"""Writing logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from batuta_api import topics
from batuta_api.logs import quota
from batuta_api.logs.model import Chunk, Gap, Stream, fit
from batuta_api.tasks import admission
from batuta_api.tasks.model import TailKind
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_rpc.errors import LogGap


@dataclass(frozen=True)
class Stored:
    """Where a stream stands: so many bytes are stored, and with `over_quota` there will never be more."""

    committed: int
    over_quota: bool = False


def append(work: Work, caller: Caller, stream: Stream, chunks: Sequence[Chunk], now: datetime) -> Stored:
    """Store what is new of `chunks` and has room; without bytes, only look.

    Raises `OtherTask`, `TaskNotFound`, `StaleAttempt`, `LogGap`.
    """
    filled = [chunk for chunk in chunks if chunk.data]
    end = max((chunk.end for chunk in filled), default=0)
    write = admission.Write(stream.task_id, stream.attempt, stream.producer, TailKind.LOG, end)
    task = admission.admit(work, caller, write, now)
    before = work.logs.committed(stream)
    try:
        committed, new = fit(before, filled)
    except Gap as gap:
        raise LogGap(
            str(gap), task_id=stream.task_id, producer=stream.producer, committed_offset=gap.committed
        ) from None
    if not new:
        return Stored(committed)
    kept = quota.fitting(work, stream, new)
    if kept:
        work.logs.append(stream, kept)
        work.announce(topics.log(stream.task_id))
    admission.prove(work, task, now)
    stored = kept[-1].end if kept else before
    if stored < committed:
        quota.write_note(work, stream, new[-1].time_unix_millis)
    return Stored(stored, over_quota=stored < committed)
