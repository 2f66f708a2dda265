"""What a model refuses, as errors of calls."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from batuta_api.tasks.model import AttemptOver, IllegalMove, NotDraft, NotLocal, NotSettled, Refusal, Task
from batuta_rpc.errors import (
    EtagMismatch,
    FieldViolation,
    IllegalTransition,
    RpcError,
    StaleAttempt,
    TaskNotDraft,
    TaskNotFound,
    UpstreamUnavailable,
)


@contextmanager
def told(task: Task) -> Generator[None]:
    """Turn a refusal about `task` into the error that its caller gets."""
    try:
        yield
    except Refusal as refusal:
        raise _error(refusal, task) from None


def missing(task_id: str) -> TaskNotFound:
    """There is no such task."""
    return TaskNotFound(f"there is no task {task_id}", resource=("task", task_id), task_id=task_id)


def stale(task: Task, attempt: int) -> StaleAttempt:
    """The attempt may not write."""
    error = _error(AttemptOver(task, attempt), task)
    assert isinstance(error, StaleAttempt)
    return error


def check_etag(task: Task, etag: str) -> None:
    """Raise `EtagMismatch` when a guard was given and the task has changed since."""
    if etag and etag != task.etag:
        raise EtagMismatch(
            f"task {task.id} has changed since it was read (etag {task.etag}, not {etag}); read it again",
            resource=("task", task.id),
            task_id=task.id,
            etag=task.etag,
        )


def _error(refusal: Refusal, task: Task) -> RpcError:
    text, resource = str(refusal), ("task", task.id)
    if isinstance(refusal, IllegalMove):
        return IllegalTransition(text, resource=resource, task_id=task.id, state=refusal.state, wanted=refusal.wanted)
    if isinstance(refusal, AttemptOver):
        return StaleAttempt(
            text, resource=resource, task_id=task.id, attempt=refusal.attempt, current_attempt=refusal.current
        )
    if isinstance(refusal, NotDraft):
        return TaskNotDraft(text, resource=resource, task_id=task.id, state=task.status.state.name)
    if isinstance(refusal, NotSettled):
        return UpstreamUnavailable(text, retry_delay=0.2, task_id=task.id)
    if isinstance(refusal, NotLocal):
        return FieldViolation(text, field_violations=[("attempt", text)], task_id=task.id)
    raise AssertionError(f"no error for {refusal!r}")
