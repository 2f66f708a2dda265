"""Who may reach which task, and which attempt may still write."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from batuta_api import topics
from batuta_api.projects.closed import access_of
from batuta_api.tasks import events
from batuta_api.tasks.model import TailKind, Task
from batuta_api.tasks.refusals import missing, stale
from batuta_api.work import Work
from batuta_chassis.caller import Caller

_PROOF_PERIOD = timedelta(seconds=5)
"""How old the last sign of life may get before data counts as a new one."""


@dataclass(frozen=True)
class Write:
    """Data of one producer of one attempt, up to `end` (a byte offset or a sequence)."""

    task_id: str
    attempt: int
    producer: str
    kind: TailKind
    end: int


def find(work: Work, caller: Caller, task_id: str) -> Task:
    """The task, for whoever may see it, and may change it where the call does.

    Raises `OtherTask`, `TaskNotFound`, `RoleMissing`.
    """
    caller.require_task(task_id)
    task = work.tasks.get(task_id)
    if task is None:
        raise missing(task_id)
    access = access_of(work, caller)
    if not access.sees(task.project_name):
        raise missing(task_id)
    if caller.writes:
        access.check(task.project_name, "member")
    return task


def check_token(task: Task, caller: Caller) -> None:
    """Raise `StaleAttempt` when the caller is the run of an attempt that is over: closing it has revoked its token.

    A newer attempt than the one we know is fine: its event is on the way.
    """
    attempt = caller.attempt or 0
    status = task.status
    if caller.is_attempt and (attempt < status.attempt or (attempt == status.attempt and not status.attempt_open)):
        raise stale(task, attempt)


def find_run(work: Work, caller: Caller, task_id: str, attempt: int, now: datetime) -> Task:
    """The task, for its own run: `attempt` must be the current one, and open.

    The bearer of a valid token of a newer attempt opens it. Raises `OtherTask`, `TaskNotFound`, `StaleAttempt`.
    """
    task = _reach(work, caller, task_id, attempt, now)
    if task.status.attempt != attempt or not task.status.attempt_open:
        raise stale(task, attempt)
    return task


def admit(work: Work, caller: Caller, write: Write, now: datetime) -> Task:
    """The task, if this data may be written: by the open attempt, or up to the declared tail of a closed one.

    Raises `OtherTask`, `TaskNotFound`, `StaleAttempt`.
    """
    task = _reach(work, caller, write.task_id, write.attempt, now)
    if task.status.attempt == write.attempt and task.status.attempt_open:
        return task
    end = work.tasks.tail(write.task_id, write.attempt, write.producer, write.kind)
    if end is None or write.end > end:
        raise stale(task, write.attempt)
    return task


def prove(work: Work, task: Task, now: datetime, last_iteration: int | None = None) -> None:
    """Note that the run lives, now and then; and its greatest iteration whenever that grows."""
    status = task.status
    grown = last_iteration is not None and (status.last_iteration is None or last_iteration > status.last_iteration)
    old = status.last_proof_time is None or now - status.last_proof_time >= _PROOF_PERIOD
    if grown or old:
        work.tasks.touch(task.id, now, last_iteration if grown else None)
        work.announce(topics.task(task.id))


def _reach(work: Work, caller: Caller, task_id: str, attempt: int, now: datetime) -> Task:
    caller.require_task(task_id, attempt)
    task = find(work, caller, task_id)
    if caller.is_attempt and attempt > task.status.attempt:
        opened = events.opened(task, attempt, now)
        if opened is None:
            raise stale(task, attempt)
        work.tasks.put_status(opened)
        work.announce(topics.task(task_id))
        return opened
    return task
