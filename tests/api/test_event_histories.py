"""However the queue service's log reaches the API, whole, in pieces, again from an earlier place, or as a snapshot in
between, and whatever is written meanwhile, a task comes to the same end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hypothesis import given, note, settings
from hypothesis import strategies as st

from batuta_api.tasks import events, lifecycle
from batuta_api.tasks.events import EntryEvent
from batuta_api.tasks.lifecycle import Place
from batuta_api.tasks.model import EntryState, Phase, Task, TaskState
from batuta_api.tasks.testing import NOON, a_task

_STEPS = [Phase.ACCEPTED, Phase.PREPARING, Phase.RUNNING]
_ON = [
    (EntryState.WAITING, Phase.REJECTED),
    (EntryState.WAITING, Phase.LOST),
    (EntryState.WAITING, Phase.FAILED),
    (EntryState.HELD, Phase.LOST),
]
_OVER = [
    (EntryState.DONE, Phase.SUCCEEDED),
    (EntryState.DONE, Phase.FAILED),
    (EntryState.DONE, Phase.CANCELLED),
    (EntryState.DONE, Phase.LOST),
    (EntryState.WITHDRAWN, Phase.CANCELLED),
]


@st.composite
def histories(draw: st.DrawFn) -> list[EntryEvent]:
    """All events of one entry, from its submission to its end."""
    told: list[EntryEvent] = []

    def tell(state: EntryState, attempt: int = 0, phase: Phase = Phase.NONE, **fields: Any) -> None:
        when = NOON + timedelta(seconds=len(told))
        agent = f"agent-{attempt}" if attempt else ""
        told.append(EntryEvent("e1", "t1", state, attempt, phase, agent, event_time=when, **fields))

    tell(EntryState.WAITING)
    attempt = draw(st.integers(0, 2))
    for _ in range(draw(st.integers(0, 3))):
        attempt += 1
        _run(draw, tell, attempt, draw(st.sampled_from(_ON)))
        if told[-1].entry_state is EntryState.HELD:
            tell(EntryState.WAITING)
    if draw(st.booleans()):
        _run(draw, tell, attempt + 1, draw(st.sampled_from(_OVER)))
    else:
        tell(EntryState.WITHDRAWN)
    return told


def _run(draw: st.DrawFn, tell: Any, attempt: int, end: tuple[EntryState, Phase]) -> None:
    tell(EntryState.OFFERED, attempt, Phase.OFFERED)
    before_it_ran = Phase.REJECTED, EntryState.WITHDRAWN
    if end[0] not in before_it_ran and end[1] not in before_it_ran:
        for phase in _STEPS[: draw(st.integers(1, 3))]:
            tell(EntryState.RUNNING, attempt, phase)
    code = {Phase.SUCCEEDED: 0, Phase.FAILED: 3}.get(end[1])
    tell(*_placed(end, attempt), exit_code=code)


def _placed(end: tuple[EntryState, Phase], attempt: int) -> tuple[EntryState, int, Phase]:
    return end[0], attempt, end[1]


@dataclass(frozen=True)
class Delivery:
    """After so many events of the log: go back to an earlier place, or take the newest event alone and go on there, or
    let the run itself write before the event that announces it."""

    at: int
    back: int
    ahead: int
    write: bool


def deliveries() -> st.SearchStrategy[list[Delivery]]:
    """A few of them."""
    small = st.integers(0, 6)
    return st.lists(st.builds(Delivery, st.integers(0, 14), small, small, st.booleans()), max_size=4)


def _queued() -> Task:
    return lifecycle.enqueue(a_task(), Place("e1", "q1", "gpu"), 0, NOON)


def _deliver(log: Sequence[EntryEvent], plan: Sequence[Delivery], abort_at: int | None) -> Task:
    task, place, left = _queued(), 0, list(plan)
    highest = -1
    while place < len(log):
        if abort_at is not None and place >= abort_at > highest:
            task = _abort(task)
        highest = max(highest, place)
        if left and place >= left[0].at:
            step = left.pop(0)
            note(f"at {place}: {step}")
            if step.write and log[place].phase is Phase.OFFERED:
                task = events.opened(task, log[place].attempt, NOON) or task
            place = max(0, place - step.back)
            jump = min(len(log) - 1, place + step.ahead)
            # An event that is about no attempt, alone, does not tell how many there have been.
            if step.ahead and log[jump].attempt and (abort_at is None or not place < abort_at <= jump):
                place = jump
        task = events.apply(task, log[place], NOON)
        place += 1
    return task


def _abort(task: Task) -> Task:
    if task.status.state in (TaskState.QUEUED, TaskState.RUNNING):
        return lifecycle.abort(task, "enough", NOON)
    return task


def _told(task: Task) -> dict[str, object]:
    """What must not depend on how the events came. When it began and what was said on the way may be unknown to whoever
    heard only the end."""
    names = ("state", "attempt", "attempt_open", "exit_code", "signal", "entry_id")
    return {name: getattr(task.status, name) for name in names}


@given(histories(), deliveries(), st.none() | st.integers(0, 14))
@settings(max_examples=300, deadline=None)
def test_a_task_comes_to_the_same_end_however_its_events_come(
    log: list[EntryEvent], plan: list[Delivery], abort_at: int | None
) -> None:
    whole = _deliver(log, [], abort_at)
    assert _told(_deliver(log, sorted(plan, key=lambda each: each.at), abort_at)) == _told(whole)
    assert whole.status.state.ended
    assert not whole.status.attempt_open


@given(histories(), st.lists(st.integers(0, 14), max_size=20))
@settings(max_examples=200, deadline=None)
def test_once_a_task_has_ended_no_event_of_its_entry_moves_it(log: list[EntryEvent], again: list[int]) -> None:
    task = _deliver(log, [], None)
    for place in again:
        after = events.apply(task, log[place % len(log)], NOON + timedelta(hours=1))
        assert after is task


@given(histories(), deliveries())
@settings(max_examples=200, deadline=None)
def test_attempts_and_phases_never_go_back(log: list[EntryEvent], plan: list[Delivery]) -> None:
    task, seen = _queued(), (0, Phase.NONE)
    places = [place for step in plan for place in range(max(0, step.at - step.back), step.at)]
    for place in [*range(len(log)), *places]:
        task = events.apply(task, log[place % len(log)], NOON)
        now = (task.status.attempt, task.status.phase)
        assert now >= seen or task.status.state.ended
        seen = now
