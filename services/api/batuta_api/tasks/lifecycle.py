"""The moves of a task that people and local runs make. Pure: a task and a moment in, the next task out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from batuta_api.tasks.model import AttemptOver, IllegalMove, NotLocal, NotSettled, Phase, Task, TaskState

USER_ABORT = "USER_ABORT"


@dataclass(frozen=True)
class End:
    """How a local run ended. `state` is COMPLETED, FAILED or ABORTED."""

    state: TaskState
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    signal: int | None = None


@dataclass(frozen=True)
class Place:
    """The entry that an enqueue makes, and its queue."""

    entry_id: str
    queue_id: str
    queue_name: str
    priority: int = 0


def start(task: Task, host: str, now: datetime) -> Task:
    """Begin a local run of a draft. Raises `IllegalMove`."""
    _check_shown(task, "RUNNING")
    if task.status.state is not TaskState.DRAFT:
        raise IllegalMove(task, "RUNNING", "only a draft can be started: reset the task, or clone it")
    return task.moved(
        now,
        **_fresh(
            state=TaskState.RUNNING,
            attempt=task.status.attempt + 1,
            attempt_open=True,
            phase=Phase.RUNNING,
            local=True,
            host=host,
            start_time=now,
            last_proof_time=now,
        ),
    )


def finish(task: Task, attempt: int, end: End, now: datetime) -> Task:
    """End a local run; the same end again gives the same task. Raises `AttemptOver`, `NotLocal`."""
    status = task.status
    if attempt == status.attempt and not status.attempt_open and status.local and status.state is end.state:
        return task
    if attempt != status.attempt or not status.attempt_open:
        raise AttemptOver(task, attempt)
    if not status.local:
        raise NotLocal(task)
    phase = {TaskState.COMPLETED: Phase.SUCCEEDED, TaskState.FAILED: Phase.FAILED}.get(end.state, Phase.CANCELLED)
    stopped = status.state is TaskState.STOPPING and end.state is TaskState.ABORTED
    return task.moved(
        now,
        state=end.state,
        reason=end.reason or (USER_ABORT if end.state is TaskState.ABORTED else ""),
        # What the person who asked for the stop said is worth more than the run's own account of it.
        message=(status.message if stopped else "") or end.message,
        attempt_open=False,
        phase=phase,
        exit_code=end.exit_code,
        signal=end.signal,
        end_time=now,
        last_proof_time=now,
    )


def enqueue(task: Task, place: Place, local_attempt: int, now: datetime) -> Task:
    """Put a draft, an ended task or the caller's own local run into a queue.

    Raises `IllegalMove`, `AttemptOver` when `local_attempt` is not the run under way, `NotSettled`.
    """
    _check_shown(task, "QUEUED")
    _leave(task, "QUEUED", local_attempt)
    return task.moved(
        now,
        **_fresh(
            state=TaskState.QUEUED,
            attempt_open=False,
            entry_id=place.entry_id,
            queue_id=place.queue_id,
            queue_name=place.queue_name,
            priority=place.priority,
            enqueue_time=now,
        ),
    )


def reset(task: Task, keep_results: bool, local_attempt: int, now: datetime) -> Task:
    """Make an ended task, or the caller's own local run, a draft again. Raises as `enqueue` does."""
    _check_there(task, "DRAFT")
    if task.status.state is TaskState.DRAFT:
        raise IllegalMove(task, "DRAFT", "it is one already")
    _leave(task, "DRAFT", local_attempt)
    last = task.status.last_iteration if keep_results else None
    return task.moved(now, **_fresh(state=TaskState.DRAFT, attempt_open=False, last_iteration=last))


def dequeue(task: Task, now: datetime) -> Task:
    """Make a queued task a draft again; its entry is to be withdrawn. Raises `IllegalMove`."""
    if task.status.state is not TaskState.QUEUED:
        raise IllegalMove(task, "DRAFT", "only a queued task can be taken out of its queue")
    gone = {"state": TaskState.DRAFT, "attempt_open": False, "settled": False, "entry_id": task.status.entry_id}
    return task.moved(now, **_fresh(**gone))


def publish(task: Task, now: datetime) -> Task:
    """Seal a completed or aborted task; a published one comes back unchanged. Raises `IllegalMove`."""
    _check_there(task, "PUBLISHED")
    if task.status.state is TaskState.PUBLISHED:
        return task
    if task.status.state not in (TaskState.COMPLETED, TaskState.ABORTED):
        raise IllegalMove(task, "PUBLISHED", "only a completed or aborted task can be published")
    return task.moved(now, state=TaskState.PUBLISHED)


def archive(task: Task, now: datetime) -> Task:
    """Hide a task; an archived one comes back unchanged. Raises `IllegalMove`."""
    _check_there(task, "ARCHIVED")
    _check_idle(task, "ARCHIVED")
    return task if task.archive_time is not None else task.edited(now, archive_time=now)


def unarchive(task: Task, now: datetime) -> Task:
    """Show a task again; one that is not archived comes back unchanged."""
    return task if task.archive_time is None else task.edited(now, archive_time=None)


def delete(task: Task, force: bool, kept: timedelta, now: datetime) -> Task:
    """Mark a task as deleted, to go for good after `kept`; a deleted one comes back unchanged. Raises `IllegalMove`."""
    if task.delete_time is not None:
        return task
    _check_idle(task, "DELETED")
    if task.status.state is TaskState.PUBLISHED and not force:
        raise IllegalMove(task, "DELETED", "it is sealed: say `force` to delete it all the same")
    return task.edited(now, delete_time=now, purge_time=now + kept)


def undelete(task: Task, now: datetime) -> Task:
    """Take a deletion back; a task that is not deleted comes back unchanged."""
    return task if task.delete_time is None else task.edited(now, delete_time=None, purge_time=None)


def edit(task: Task, now: datetime, **fields: Any) -> Task:
    """Change what people call a task, where it stands or what it asks for. Raises `IllegalMove`."""
    _check_there(task, "edited")
    return task if all(getattr(task, name) == value for name, value in fields.items()) else task.edited(now, **fields)


def _check_there(task: Task, wanted: str) -> None:
    if task.delete_time is not None:
        raise IllegalMove(task, wanted, "undelete it first")


def _check_shown(task: Task, wanted: str) -> None:
    _check_there(task, wanted)
    if task.archive_time is not None:
        raise IllegalMove(task, wanted, "it is archived: unarchive it first")


def _check_idle(task: Task, wanted: str) -> None:
    if task.status.state in (TaskState.QUEUED, TaskState.RUNNING, TaskState.STOPPING):
        raise IllegalMove(task, wanted, _ADVICE_WHILE_BUSY[task.status.state])


def abort(task: Task, message: str, now: datetime) -> Task:
    """Stop a task: a queued one at once, a running one by way of STOPPING. Raises `IllegalMove`.

    A task that is stopping or aborted comes back unchanged.
    """
    status = task.status
    if status.state in (TaskState.STOPPING, TaskState.ABORTED):
        return task
    if status.state is TaskState.RUNNING:
        return task.moved(now, state=TaskState.STOPPING, reason=USER_ABORT, message=message)
    if status.state is not TaskState.QUEUED:
        raise IllegalMove(task, "ABORTED", "only a queued or running task can be aborted")
    return task.moved(
        now,
        state=TaskState.ABORTED,
        reason=USER_ABORT,
        message=message,
        attempt_open=False,
        settled=False,
        end_time=now,
    )


def settle(task: Task, entry_id: str, attempt: int, now: datetime) -> Task:
    """Take the queue service's word that `entry_id` gets no attempts above `attempt`."""
    status = task.status
    if status.entry_id != entry_id or status.settled:
        return task
    return task.moved(now, settled=True, attempt=max(status.attempt, attempt))


def forgotten(task: Task, entry_id: str, now: datetime) -> Task:
    """The queue service does not know the entry that is to stop: no event will ever end the task, so this does."""
    status = task.status
    if status.entry_id != entry_id or status.state is not TaskState.STOPPING:
        return task
    said = status.message or "aborted; the queue service no longer knew of the run"
    return task.moved(now, state=TaskState.ABORTED, message=said, attempt_open=False, end_time=now)


def requeue(task: Task, entry_id: str, reason: str, message: str, now: datetime) -> Task:
    """Back in line, under this entry: the queue service has lost what it knew. What ran before is fenced off."""
    return task.moved(
        now,
        state=TaskState.QUEUED,
        reason=reason,
        message=message,
        entry_id=entry_id,
        attempt_open=False,
        phase=Phase.NONE,
    )


def refuse(task: Task, reason: str, message: str, now: datetime) -> Task:
    """The queue service will never take the entry: the task has failed."""
    if task.status.state is not TaskState.QUEUED:
        return task
    return task.moved(now, state=TaskState.FAILED, reason=reason, message=message, attempt_open=False, end_time=now)


def give_up(task: Task, now: datetime) -> Task:
    """End a local run that was asked to stop and whose courier is gone too."""
    if task.status.state is not TaskState.STOPPING or not task.status.local:
        return task
    said = task.status.message or "aborted; its courier gave no sign of life, so the process may still run"
    return task.moved(now, state=TaskState.ABORTED, message=said, attempt_open=False, phase=Phase.LOST, end_time=now)


def _leave(task: Task, wanted: str, local_attempt: int) -> None:
    """Check that the task may leave what it does for a new beginning."""
    status = task.status
    if local_attempt:
        if local_attempt != status.attempt or not status.attempt_open or not status.local:
            raise AttemptOver(task, local_attempt)
        if status.state is not TaskState.RUNNING:
            raise IllegalMove(task, wanted, "it has been asked to stop")
        return
    if status.state is TaskState.RUNNING and status.local:
        raise IllegalMove(
            task, wanted, f"it runs on {status.host or 'some host'}: abort it first, or ask from the run itself"
        )
    if status.state not in (TaskState.DRAFT, TaskState.COMPLETED, TaskState.FAILED, TaskState.ABORTED):
        raise IllegalMove(task, wanted, _ADVICE.get(status.state, ""))
    if not status.settled:
        raise NotSettled(task)


def _fresh(**status: Any) -> dict[str, Any]:
    """The status fields of a task whose last run no longer shows, with these on top."""
    return {**FRESH_RUN, **status}


_ADVICE_WHILE_BUSY = {
    TaskState.QUEUED: "it waits in a queue: dequeue it first",
    TaskState.RUNNING: "it runs: abort it first",
    TaskState.STOPPING: "wait until it has stopped",
}

_ADVICE = {
    TaskState.QUEUED: "it waits in a queue: dequeue it first",
    TaskState.RUNNING: "it runs on an agent: abort it first",
    TaskState.STOPPING: "wait until it has stopped",
    TaskState.PUBLISHED: "it is sealed: clone it",
}

FRESH_RUN: dict[str, Any] = {
    "reason": "",
    "message": "",
    "phase": Phase.NONE,
    "local": False,
    "entry_id": "",
    "settled": True,
    "queue_id": "",
    "queue_name": "",
    "priority": 0,
    "agent_id": "",
    "host": "",
    "exit_code": None,
    "signal": None,
    "enqueue_time": None,
    "start_time": None,
    "end_time": None,
    "last_proof_time": None,
}
"""The status fields of a task of whose last run nothing shows any more."""
