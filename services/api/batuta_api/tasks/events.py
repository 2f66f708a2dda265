"""The moves of a task that the queue service's events make. Pure.

An event counts once, and only for the entry that its task has now. Whatever comes late, twice or again from the
beginning (after the queue service's log was replaced) changes nothing: attempts only grow, phases of an attempt only
grow, and an end is the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from batuta_api.tasks.lifecycle import FRESH_RUN
from batuta_api.tasks.model import EntryState, Phase, Tail, Task, TaskState, TaskStatus

AGENT_LOST = "AGENT_LOST"
HELD = "HELD"
REMOVED = "REMOVED"
"""Somebody took the entry out at the queue, or the queue with all that waited in it."""


@dataclass(frozen=True)
class EntryEvent:
    """One change of one entry. `attempt` is 0 when it is about none; `reason` and `message` say why it ended so."""

    entry_id: str
    task_id: str
    entry_state: EntryState
    attempt: int = 0
    phase: Phase = Phase.NONE
    agent_id: str = ""
    host: str = ""
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    signal: int | None = None
    tails: tuple[Tail, ...] = ()
    event_time: datetime | None = None
    queue_id: str = ""
    queue_name: str = ""


def apply(task: Task, event: EntryEvent, now: datetime) -> Task:
    """The task after the event; the same object when the event changes nothing."""
    status = task.status
    if event.entry_id != status.entry_id:
        return _number_only(task, event, now, settles=False)
    if status.state.ended or status.state is TaskState.DRAFT:
        return _number_only(task, event, now, settles=event.entry_state in (EntryState.DONE, EntryState.WITHDRAWN))
    if event.attempt and _is_late(status, event):
        return task
    changes = _MOVES[event.entry_state](status, event, now)
    if event.queue_name and changes.get("state") is not TaskState.DRAFT:
        changes = {**changes, "queue_id": event.queue_id, "queue_name": event.queue_name}
    if event.attempt > status.attempt:
        changes = {**_NEW_ATTEMPT, "attempt": event.attempt, "local": False, **changes}
    changes = {name: value for name, value in changes.items() if getattr(status, name) != value}
    return task.moved(now, **changes) if changes else task


def opened(task: Task, attempt: int, now: datetime) -> Task | None:
    """The task when the bearer of a valid token of a newer attempt writes before the event that announces it.

    None when the task cannot have such an attempt: it has ended, or an abort of it is not settled.
    """
    status = task.status
    live = status.state in (TaskState.QUEUED, TaskState.RUNNING, TaskState.STOPPING) and bool(status.entry_id)
    if not live or attempt <= status.attempt:
        return None
    return task.moved(now, **{**_NEW_ATTEMPT, "attempt": attempt, "local": False, "last_proof_time": now})


def _is_late(status: TaskStatus, event: EntryEvent) -> bool:
    if event.attempt != status.attempt:
        return event.attempt < status.attempt
    return event.phase < status.phase


def _number_only(task: Task, event: EntryEvent, now: datetime, settles: bool) -> Task:
    """Of a run that no longer counts only the number of its attempt is kept: no later one may bear it."""
    status = task.status
    settled = status.settled or settles
    higher = event.attempt > status.attempt and not status.attempt_open
    if not higher and settled == status.settled:
        return task
    return task.moved(now, attempt=event.attempt if higher else status.attempt, settled=settled)


def _waiting(status: TaskStatus, event: EntryEvent, now: datetime) -> dict[str, Any]:
    ended_before = event.attempt == status.attempt and event.phase is status.phase and not status.attempt_open
    if not event.attempt or ended_before:
        return {"reason": "", "message": ""} if status.reason == HELD else {}  # it was let go
    message = ""
    if event.phase is Phase.LOST:
        message = _lost_message(event)
    elif event.phase is Phase.FAILED:
        message = f"attempt {event.attempt} failed, and it is tried again: {failure(event)[1]}"
    return _back(status, event, message)


def _held(status: TaskStatus, event: EntryEvent, now: datetime) -> dict[str, Any]:
    why = event.message or event.reason or "no reason given"
    text = f"held until somebody releases it (`batuta queue release {event.task_id}`): {why}"
    changes = _back(status, event, text)
    if not event.attempt:
        del changes["phase"]  # it was moved, and what it waits after is still its last attempt
    return {**changes, "reason": HELD} if "reason" in changes else changes


def _back(status: TaskStatus, event: EntryEvent, message: str) -> dict[str, Any]:
    """Back in line, or still on the way to its end when an abort is under way."""
    changes: dict[str, Any] = {"attempt_open": False, "phase": event.phase}
    if status.state is TaskState.STOPPING:
        return changes
    reason = event.reason or (AGENT_LOST if event.phase is Phase.LOST else "")
    if event.phase is Phase.FAILED:
        reason = failure(event)[0]
    return {**changes, "state": TaskState.QUEUED, "reason": reason, "message": message}


def _offered(status: TaskStatus, event: EntryEvent, now: datetime) -> dict[str, Any]:
    changes: dict[str, Any] = {"attempt_open": True, "phase": event.phase}
    if status.state is TaskState.RUNNING:
        changes["state"] = TaskState.QUEUED
    return changes


def _running(status: TaskStatus, event: EntryEvent, now: datetime) -> dict[str, Any]:
    if event.phase.ended:
        return {}  # an entry that runs while its attempt is over says nothing yet: the next event does
    changes: dict[str, Any] = {
        "attempt_open": True,
        "phase": event.phase,
        "agent_id": event.agent_id,
        "host": event.host,
        "last_proof_time": now,
    }
    began = event.attempt > status.attempt or status.start_time is None
    if event.phase >= Phase.RUNNING and began:
        changes["start_time"] = event.event_time or now
    if status.state is not TaskState.STOPPING:
        changes.update(state=TaskState.RUNNING, reason="", message="")
    return changes


def _done(status: TaskStatus, event: EntryEvent, now: datetime) -> dict[str, Any]:
    state = _ENDS.get(event.phase, TaskState.FAILED)
    reason, message = event.reason, event.message
    if event.phase is Phase.LOST:
        reason, message = reason or AGENT_LOST, _lost_message(event)
        if status.state is TaskState.STOPPING:
            state, reason = TaskState.ABORTED, status.reason  # it was to end anyway
    elif state is TaskState.FAILED:
        reason, message = failure(event)
    aborted = state is TaskState.ABORTED
    changes: dict[str, Any] = {
        "state": state,
        "reason": reason or (status.reason if aborted else ""),
        "message": (status.message if aborted else "") or message,
        "attempt_open": False,
        "phase": event.phase,
        "exit_code": event.exit_code,
        "signal": event.signal,
        "end_time": event.event_time or now,
    }
    if event.agent_id:
        changes.update(agent_id=event.agent_id, host=event.host)
    return changes


def _withdrawn(status: TaskStatus, event: EntryEvent, now: datetime) -> dict[str, Any]:
    if event.reason == REMOVED and status.state is not TaskState.STOPPING:
        # No run of it is left, and the entry gets no more attempts: as if its owner had taken it out of the queue.
        return {**FRESH_RUN, "state": TaskState.DRAFT, "attempt_open": False, "message": event.message}
    return {
        "state": TaskState.ABORTED,
        "reason": event.reason or status.reason or "USER_ABORT",
        "message": status.message or event.message,
        "attempt_open": False,
        "end_time": event.event_time or now,
    }


def failure(event: EntryEvent) -> tuple[str, str]:
    """Reason and message of a failure, made up from what the process left when the agent said nothing."""
    if event.signal is not None:
        return event.reason or "SIGNAL", event.message or f"killed by signal {event.signal}"
    if event.exit_code:
        return event.reason or "EXIT_CODE", event.message or f"exit code {event.exit_code}"
    return event.reason or event.phase.name, event.message or "it failed, and the agent did not say why"


def _lost_message(event: EntryEvent) -> str:
    where = f" on agent {event.agent_id}" if event.agent_id else ""
    return f"attempt {event.attempt}{where} was lost{': ' + event.message if event.message else ''}"


_MOVES: dict[EntryState, Callable[[TaskStatus, EntryEvent, datetime], dict[str, Any]]] = {
    EntryState.WAITING: _waiting,
    EntryState.OFFERED: _offered,
    EntryState.HELD: _held,
    EntryState.RUNNING: _running,
    EntryState.DONE: _done,
    EntryState.WITHDRAWN: _withdrawn,
}

_ENDS = {
    Phase.SUCCEEDED: TaskState.COMPLETED,
    Phase.CANCELLED: TaskState.ABORTED,
}

_NEW_ATTEMPT: dict[str, Any] = {
    "attempt_open": True,
    "phase": Phase.NONE,
    "start_time": None,
    "agent_id": "",
    "host": "",
    "exit_code": None,
    "signal": None,
}
