"""When a reader who follows a task has seen all of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from batuta_api.tasks.model import Tail, TailKind, Task
from batuta_api.work import Work

PATIENCE = timedelta(seconds=15)
"""How long after the end a reader waits for a declared tail that does not come."""


def over(task: Task, attempt: int) -> bool:
    """Whether the task has ended; with an attempt, whether that attempt has."""
    status = task.status
    if status.state.ended:
        return True
    return 0 < attempt < status.attempt or (attempt == status.attempt > 0 and not status.attempt_open)


def complete(
    work: Work, task: Task, attempt: int, kind: TailKind, stored: Callable[[Tail], int], now: datetime
) -> bool:
    """Whether it is over, and the declared tails are stored or will not come. `stored` tells how far a producer is."""
    if not over(task, attempt):
        return False
    declared = work.tasks.tails(task.id, attempt or task.status.attempt)
    if all(stored(tail) >= tail.end for tail in declared if tail.kind is kind):
        return True
    return now - task.update_time >= PATIENCE
