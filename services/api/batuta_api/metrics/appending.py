"""Writing scalars: each record exactly once, however often it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from batuta_api import topics
from batuta_api.metrics.model import Column, Producer, greatest_iteration
from batuta_api.tasks import admission
from batuta_api.tasks.model import TailKind
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_rpc.errors import TooLarge


@dataclass(frozen=True)
class Batch:
    """Records of one producer, from one sequence to another."""

    producer: Producer
    first_sequence: int
    last_sequence: int
    columns: Sequence[Column]


def append(work: Work, caller: Caller, batch: Batch, now: datetime) -> int:
    """Store a batch whose first sequence is the next one; any other, and one without points, only asks.

    The producer's last stored sequence. Raises `OtherTask`, `TaskNotFound`, `StaleAttempt`, `TooLarge`.
    """
    producer = batch.producer
    points = any(column.values for column in batch.columns)
    write = admission.Write(
        producer.task_id, producer.attempt, producer.name, TailKind.SCALARS, batch.last_sequence if points else 0
    )
    task = admission.admit(work, caller, write, now)
    committed = work.scalars.committed(producer)
    if not points or batch.first_sequence != committed + 1:
        return committed
    if work.scalars.series_count(producer.task_id) + len(batch.columns) > work.limits.series_per_task:
        _check_series(work, batch)
    work.scalars.append(producer, batch.last_sequence, batch.columns)
    admission.prove(work, task, now, greatest_iteration(batch.columns))
    work.announce(topics.scalars(producer.task_id))
    return batch.last_sequence


def _check_series(work: Work, batch: Batch) -> None:
    known = {(summary.metric, summary.variant) for summary in work.scalars.summaries(batch.producer.task_id)}
    new = {(column.metric, column.variant) for column in batch.columns} - known
    if new and len(known) + len(new) > work.limits.series_per_task:
        raise TooLarge(
            f"task {batch.producer.task_id} has {len(known)} series and may have {work.limits.series_per_task}: "
            "do not put a number that changes into a metric's name",
            task_id=batch.producer.task_id,
            limit=work.limits.series_per_task,
        )
