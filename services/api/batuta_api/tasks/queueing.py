"""Into a queue and out of it. What the queue service must hear of goes through the outbox, in the same transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from batuta_api import topics
from batuta_api.artifacts import removing
from batuta_api.tasks import admission, attempts, entries, history, lifecycle
from batuta_api.tasks.convert import render
from batuta_api.tasks.lifecycle import Place
from batuta_api.tasks.model import Tail, Task, TaskState
from batuta_api.tasks.refusals import check_etag, told
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_proto.tasks import v1 as tasks


@dataclass(frozen=True)
class Leaving:
    """Which task leaves what it does, and its local run's last word where that run itself asks."""

    task_id: str
    etag: str = ""
    local_attempt: int = 0
    tails: tuple[Tail, ...] = ()


def enqueue(work: Work, caller: Caller, leaving: Leaving, place: Place, now: datetime) -> tuple[Task, tasks.Task]:
    """Queue a task: QUEUED, its local attempt ended, and the submission on its way, all in one.

    Returns it, and as the contract shows it: the queue gets the very same, so it is rendered once.
    Raises `TaskNotFound`, `EtagMismatch`, `IllegalTransition`, `StaleAttempt`, `UpstreamUnavailable`.
    """
    task = admission.find(work, caller, leaving.task_id)
    check_etag(task, leaving.etag)
    with told(task):
        queued = lifecycle.enqueue(task, place, leaving.local_attempt, now)
    _leave(work, leaving, task, attempts.ENQUEUED, f"it put its task into queue {place.queue_name}", now)
    work.tasks.put_status(queued)
    shown = render(queued, work.tasks.definition(task.id))
    work.outbox.add(topics.SUBMIT, task.id, entries.submission(queued, shown))
    work.announce(topics.task(task.id))
    return queued, shown


def reset(work: Work, caller: Caller, leaving: Leaving, keep_results: bool, now: datetime) -> Task:
    """Make an ended task, or the caller's own local run, a draft again; its results stay or are deleted.

    Raises as `enqueue` does.
    """
    task = admission.find(work, caller, leaving.task_id)
    check_etag(task, leaving.etag)
    with told(task):
        draft = lifecycle.reset(task, keep_results, leaving.local_attempt, now)
    _leave(work, leaving, task, attempts.RESET, "it made its task a draft again", now)
    if not keep_results:
        work.logs.drop(task.id)
        work.scalars.drop(task.id)
        removing.drop(work, task.id, now)
        work.tasks.drop_tails(task.id)
    work.tasks.put_status(draft)
    work.announce(topics.task(task.id))
    return draft


def dequeue(work: Work, caller: Caller, task_id: str, etag: str, now: datetime) -> Task:
    """Take a task out of its queue. Raises `TaskNotFound`, `EtagMismatch`, `IllegalTransition`."""
    task = admission.find(work, caller, task_id)
    check_etag(task, etag)
    with told(task):
        draft = lifecycle.dequeue(task, now)
    work.tasks.put_status(draft)
    work.outbox.add(topics.WITHDRAW, task_id, entries.withdrawal(task.status.entry_id))
    work.announce(topics.task(task_id))
    return draft


def abort(work: Work, caller: Caller, task_id: str, etag: str, message: str, now: datetime) -> Task:
    """Stop a task. Raises `TaskNotFound`, `EtagMismatch`, `IllegalTransition`."""
    task = admission.find(work, caller, task_id)
    if task.status.state not in (TaskState.STOPPING, TaskState.ABORTED):
        check_etag(task, etag)
    with told(task):
        aborted = lifecycle.abort(task, message, now)
    if aborted is task:
        return task
    work.tasks.put_status(aborted)
    if task.status.entry_id:
        work.outbox.add(topics.WITHDRAW, task_id, entries.withdrawal(task.status.entry_id))
    work.announce(topics.task(task_id))
    return aborted


def settle(work: Work, task_id: str, entry_id: str, attempt: int, now: datetime) -> None:
    """The queue service has heard of an abort: `entry_id` gets no attempts above `attempt`."""
    task = work.tasks.get(task_id)
    if task is not None:
        _keep(work, task, lifecycle.settle(task, entry_id, attempt, now))


def forget(work: Work, task_id: str, entry_id: str, now: datetime) -> None:
    """The queue service does not know `entry_id`, which is to stop."""
    task = work.tasks.get(task_id)
    if task is not None:
        _keep(work, task, lifecycle.forgotten(lifecycle.settle(task, entry_id, 0, now), entry_id, now))


def refuse(
    work: Work, task_id: str, entry_id: str, reason: str, message: str, now: datetime, unsure: bool = False
) -> None:
    """The queue service will never take `entry_id`; `unsure`: it may have it all the same, and must not keep it."""
    if unsure:
        work.outbox.add(topics.WITHDRAW, task_id, entries.withdrawal(entry_id))
    task = work.tasks.get(task_id)
    if task is not None and task.status.entry_id == entry_id:
        _keep(work, task, lifecycle.refuse(task, reason, message, now))


def _keep(work: Work, before: Task, after: Task) -> None:
    if after is not before:
        work.tasks.put_status(after)
        work.announce(topics.task(after.id))


def _leave(work: Work, leaving: Leaving, task: Task, reason: str, message: str, now: datetime) -> None:
    if leaving.local_attempt:
        history.left(work, task, reason, message, now)
        work.tasks.add_tails(leaving.task_id, leaving.local_attempt, leaving.tails)
