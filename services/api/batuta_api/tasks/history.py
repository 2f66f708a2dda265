"""Keeps what becomes of each attempt beside what becomes of its task."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from batuta_api import pages
from batuta_api.moments import stamp
from batuta_api.tasks import admission, attempts
from batuta_api.tasks.attempts import Attempt
from batuta_api.tasks.events import EntryEvent
from batuta_api.tasks.model import Phase, Task
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_proto.tasks import v1 as tasks

_LIST = "attempts"


def heard(work: Work, event: EntryEvent, now: datetime) -> bool:
    """Note what an event says of its attempt. Whether that was anything new."""
    if not event.attempt or event.phase is Phase.NONE:
        return False
    known = work.attempts.get(event.task_id, event.attempt)
    after = attempts.heard(known, event, now)
    if after is known:
        return False
    if known is None:
        _close_older(work, event.task_id, event.attempt, now)
    _keep(work, event.task_id, after)
    return True


def begun(work: Work, task: Task) -> None:
    """Note a local run that has just begun."""
    _keep(work, task.id, attempts.begun_locally(task))


def ended(work: Work, task: Task, now: datetime) -> None:
    """Note the end of a task's newest attempt, which somebody other than the queue service's log tells of."""
    known = work.attempts.get(task.id, task.status.attempt)
    if known is not None:
        _keep(work, task.id, attempts.ended_locally(known, task, now))


def left(work: Work, task: Task, reason: str, message: str, now: datetime) -> None:
    """Note that a local run has ended itself by putting its task elsewhere."""
    known = work.attempts.get(task.id, task.status.attempt)
    if known is not None:
        _keep(work, task.id, known.ended(Phase.CANCELLED, now, reason, message))


def gone(work: Work, task: Task, reason: str, message: str, now: datetime) -> None:
    """Note that a task's newest attempt is lost to us; one that has ended stays as it ended."""
    known = work.attempts.get(task.id, task.status.attempt)
    if known is not None and not known.phase.ended:
        _keep(work, task.id, known.ended(Phase.LOST, now, reason, message))


def _close_older(work: Work, task_id: str, number: int, now: datetime) -> None:
    for older in work.attempts.newest(task_id, 1, before=number):
        if not older.phase.ended:
            _keep(work, task_id, attempts.overtaken(older, now))


def _keep(work: Work, task_id: str, attempt: Attempt) -> None:
    keep = work.limits.attempts_per_task
    if work.attempts.put(task_id, attempt) and attempt.number > keep:  # numbers begin at 1: before that there are fewer
        work.attempts.trim(task_id, keep)


@dataclass(frozen=True)
class Query:
    """A page that is asked for: attempts of lower numbers than `before`, if it is not 0."""

    task_id: str
    before: int
    size: int


def query(request: tasks.ListAttemptsRequest) -> Query:
    """What a request asks for. Raises `FieldViolation` for a page token that is not this list's."""
    place = pages.unseal(request.page_token, _LIST, _of(request.task_id), 1)
    return Query(request.task_id, 0 if place is None else pages.number(place[0]), pages.size(request.page_size))


def page(work: Work, caller: Caller, asked: Query) -> tasks.ListAttemptsResponse:
    """The page, newest first, and the token of the next one when there is more. Raises `OtherTask`, `TaskNotFound`."""
    admission.find(work, caller, asked.task_id)
    found = work.attempts.newest(asked.task_id, asked.size + 1, asked.before)
    shown, token = found[: asked.size], ""
    if len(found) > asked.size:
        token = pages.seal(_LIST, _of(asked.task_id), [shown[-1].number])
    return tasks.ListAttemptsResponse(attempts=[render(attempt) for attempt in shown], next_page_token=token)


def render(attempt: Attempt) -> tasks.Attempt:
    """As the contract shows it."""
    return tasks.Attempt(
        attempt=attempt.number,
        phase=cast("Any", int(attempt.phase)),
        local=attempt.local,
        agent_id=attempt.agent_id,
        host=attempt.host,
        reason=attempt.reason,
        message=attempt.message,
        exit_code=attempt.exit_code,
        signal=attempt.signal,
        offer_time=stamp(attempt.offer_time),
        start_time=stamp(attempt.start_time),
        end_time=stamp(attempt.end_time),
    )


def _of(task_id: str) -> tasks.ListAttemptsRequest:
    return tasks.ListAttemptsRequest(task_id=task_id)
