"""Local runs: their beginning and their end."""

from __future__ import annotations

from datetime import datetime, timedelta

from batuta_api import topics
from batuta_api.tasks import admission, history, lifecycle
from batuta_api.tasks.lifecycle import End
from batuta_api.tasks.model import Tail, Task
from batuta_api.tasks.refusals import check_etag, told
from batuta_api.work import Work
from batuta_chassis.caller import Caller

GIVE_UP_AFTER = timedelta(seconds=120)
"""A local run that was asked to stop gets this long without a sign of life: its courier kills within 30 s."""
_BATCH = 100


def start(work: Work, caller: Caller, task_id: str, etag: str, host: str, now: datetime) -> Task:
    """Begin a local run of a draft. Raises `TaskNotFound`, `IllegalTransition`, `EtagMismatch`."""
    task = admission.find(work, caller, task_id)
    check_etag(task, etag)
    with told(task):
        started = lifecycle.start(task, host, now)
    work.tasks.put_status(started)
    history.begun(work, started)
    work.announce(topics.task(task_id))
    return started


def finish(
    work: Work, caller: Caller, task_id: str, attempt: int, end: End, tails: tuple[Tail, ...], now: datetime
) -> Task:
    """End a local run; the same end again changes nothing.

    Raises `TaskNotFound`, `StaleAttempt`, `FieldViolation` when the attempt is an agent's.
    """
    task = admission.find(work, caller, task_id)
    with told(task):
        ended = lifecycle.finish(task, attempt, end, now)
    if ended is not task:
        work.tasks.put_status(ended)
        history.ended(work, ended, now)
        work.tasks.add_tails(task_id, attempt, tails)
        work.announce(topics.task(task_id))
    return ended


def give_up(work: Work, now: datetime) -> int:
    """End local runs that were asked to stop and whose courier is gone. How many."""
    silent = work.tasks.stopping_locally(now - GIVE_UP_AFTER, _BATCH)
    for task in silent:
        ended = lifecycle.give_up(task, now)
        work.tasks.put_status(ended)
        history.ended(work, ended, now)
        work.announce(topics.task(task.id))
    return len(silent)
