"""When a reader who follows has seen all: the run is over, and its declared tails are in or will not come."""

from __future__ import annotations

from datetime import timedelta

import pytest

from batuta_api.tasks.ending import PATIENCE, complete, over
from batuta_api.tasks.model import Definition, Tail, TailKind, TaskState
from batuta_api.tasks.testing import NOON, a_task
from batuta_api.testing import memory_work

LOG = TailKind.LOG


@pytest.mark.parametrize("state", TaskState)
def test_a_task_is_over_when_it_has_ended(state: TaskState) -> None:
    assert over(a_task(state=state), 0) == (state >= TaskState.COMPLETED)


def test_an_attempt_is_over_when_it_is_closed_or_another_has_come() -> None:
    task = a_task(state=TaskState.RUNNING, attempt=2, attempt_open=True)
    assert over(task, 1)
    assert not over(task, 2)
    assert not over(task, 3)
    assert over(a_task(state=TaskState.QUEUED, attempt=2), 2)
    assert not over(a_task(), 0)


def test_the_reader_waits_for_declared_tails_of_its_kind_but_not_for_ever() -> None:
    work = memory_work()
    task = a_task(state=TaskState.FAILED, attempt=1)
    work.tasks.add(task, Definition())
    work.tasks.add_tails("t1", 1, [Tail("console", LOG, 10), Tail("p", TailKind.SCALARS, 99)])
    soon, late = NOON + timedelta(seconds=1), NOON + PATIENCE
    assert not complete(work, task, 0, LOG, lambda _: 9, soon)
    assert complete(work, task, 0, LOG, lambda _: 10, soon)
    assert complete(work, task, 0, LOG, lambda _: 9, late)
    running = a_task(state=TaskState.RUNNING, attempt=1, attempt_open=True)
    assert not complete(work, running, 0, LOG, lambda _: 10, late)
