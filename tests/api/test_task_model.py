"""The life of a task, without stores or wires."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta_api.tasks import events, lifecycle
from batuta_api.tasks.events import EntryEvent
from batuta_api.tasks.lifecycle import End, Place
from batuta_api.tasks.model import (
    AttemptOver,
    EntryState,
    IllegalMove,
    NotLocal,
    NotSettled,
    Phase,
    TailKind,
    Task,
    TaskState,
)
from batuta_api.tasks.testing import NOON, a_task
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types

LATER = NOON + timedelta(seconds=1)
PLACE = Place("e1", "q1", "gpu")
DONE = End(TaskState.COMPLETED)


def in_state(state: TaskState, local: bool = False) -> Task:
    """A task in that state, reached by an agent's run or a local one."""
    open_attempt = state in (TaskState.RUNNING, TaskState.STOPPING)
    return a_task(
        state=state,
        attempt=3,
        attempt_open=open_attempt,
        local=local,
        entry_id="" if local or state is TaskState.DRAFT else "e0",
        phase=Phase.RUNNING if open_attempt else Phase.NONE,
    )


def test_the_numbers_are_those_of_the_contract() -> None:
    assert {state.name: int(state) for state in TaskState} == {
        name.removeprefix("TASK_STATE_"): number for name, number in tasks.TaskState.items() if number
    }
    assert {phase.name: int(phase) for phase in Phase if phase} == {
        name.removeprefix("ATTEMPT_PHASE_"): number for name, number in types.AttemptPhase.items() if number
    }
    assert {state.name: int(state) for state in EntryState} == {
        name.removeprefix("ENTRY_STATE_"): number for name, number in queues.EntryState.items() if number
    }
    assert {kind.name: int(kind) for kind in TailKind} == {
        name.removeprefix("TAIL_KIND_"): number for name, number in types.TailKind.items() if number
    }


MOVES: dict[str, tuple[Callable[[Task], Task], set[TaskState]]] = {
    "start": (lambda task: lifecycle.start(task, "laptop", LATER), {TaskState.DRAFT}),
    "enqueue": (
        lambda task: lifecycle.enqueue(task, PLACE, 0, LATER),
        {TaskState.DRAFT, TaskState.COMPLETED, TaskState.FAILED, TaskState.ABORTED},
    ),
    "reset": (
        lambda task: lifecycle.reset(task, True, 0, LATER),
        {TaskState.COMPLETED, TaskState.FAILED, TaskState.ABORTED},
    ),
    "abort": (
        lambda task: lifecycle.abort(task, "", LATER),
        {TaskState.QUEUED, TaskState.RUNNING, TaskState.STOPPING, TaskState.ABORTED},
    ),
}


@pytest.mark.parametrize("state", TaskState)
@pytest.mark.parametrize("move", MOVES)
def test_each_move_is_legal_from_its_states_and_refused_from_all_others(move: str, state: TaskState) -> None:
    make, legal = MOVES[move]
    task = in_state(state)
    if state in legal:
        make(task)
    else:
        with pytest.raises(IllegalMove, match=f"is {state.name} and cannot become"):
            make(task)


@pytest.mark.parametrize("state", TaskState)
@pytest.mark.parametrize("local", [True, False])
def test_only_the_open_local_attempt_can_be_finished(state: TaskState, local: bool) -> None:
    task = in_state(state, local)
    failed = End(TaskState.FAILED) if state is TaskState.COMPLETED else DONE  # the same end again would be no move
    if task.status.attempt_open and local:
        assert lifecycle.finish(task, 3, failed, LATER).status.state is failed.state
        return
    with pytest.raises(NotLocal if task.status.attempt_open else AttemptOver):
        lifecycle.finish(task, 3, failed, LATER)


def test_a_local_run_takes_the_next_number_and_opens_it() -> None:
    started = lifecycle.start(a_task(attempt=4), "laptop", LATER)
    status = started.status
    assert (status.state, status.attempt, status.attempt_open, status.local) == (TaskState.RUNNING, 5, True, True)
    assert (status.host, status.start_time, started.generation) == ("laptop", LATER, 2)


def test_the_same_end_said_twice_has_one_effect_and_another_end_is_stale() -> None:
    started = lifecycle.start(a_task(), "laptop", LATER)
    ended = lifecycle.finish(started, 1, DONE, LATER)
    assert lifecycle.finish(ended, 1, DONE, LATER) is ended
    with pytest.raises(AttemptOver):
        lifecycle.finish(ended, 1, End(TaskState.FAILED), LATER)
    with pytest.raises(AttemptOver):
        lifecycle.finish(started, 2, DONE, LATER)


def test_the_run_itself_may_hand_its_task_to_a_queue_and_nobody_else_may_take_it_away() -> None:
    started = lifecycle.start(a_task(last_iteration=99), "laptop", LATER)
    queued = lifecycle.enqueue(started, PLACE, 1, LATER)
    assert (queued.status.state, queued.status.attempt, queued.status.attempt_open) == (TaskState.QUEUED, 1, False)
    assert queued.status.last_iteration == 99
    with pytest.raises(IllegalMove, match="runs on laptop"):
        lifecycle.enqueue(started, PLACE, 0, LATER)
    with pytest.raises(AttemptOver):
        lifecycle.enqueue(started, PLACE, 7, LATER)
    with pytest.raises(AttemptOver):
        lifecycle.enqueue(queued, PLACE, 1, LATER)


def test_a_run_that_was_asked_to_stop_may_not_leave_for_a_queue() -> None:
    stopping = lifecycle.abort(lifecycle.start(a_task(), "laptop", LATER), "enough", LATER)
    with pytest.raises(IllegalMove, match="asked to stop"):
        lifecycle.enqueue(stopping, PLACE, 1, LATER)


def test_a_queued_task_is_aborted_at_once_and_gives_out_no_numbers_until_the_queue_has_heard() -> None:
    queued = lifecycle.enqueue(a_task(), PLACE, 0, LATER)
    aborted = lifecycle.abort(queued, "enough", LATER)
    assert (aborted.status.state, aborted.status.reason, aborted.status.message) == (
        TaskState.ABORTED,
        "USER_ABORT",
        "enough",
    )
    for again in (lambda t: lifecycle.enqueue(t, PLACE, 0, LATER), lambda t: lifecycle.reset(t, True, 0, LATER)):
        with pytest.raises(NotSettled):
            again(aborted)
        settled = lifecycle.settle(aborted, "e1", 4, LATER)
        assert again(settled).status.attempt == 4
    assert lifecycle.settle(aborted, "other", 4, LATER) is aborted


def test_aborting_what_is_stopping_or_aborted_changes_nothing() -> None:
    for state in (TaskState.STOPPING, TaskState.ABORTED):
        task = in_state(state)
        assert lifecycle.abort(task, "again", LATER) is task


def test_the_word_of_the_person_who_aborted_outlives_the_runs_own() -> None:
    stopping = lifecycle.abort(lifecycle.start(a_task(), "laptop", LATER), "enough", LATER)
    ended = lifecycle.finish(stopping, 1, End(TaskState.ABORTED, message="got SIGINT"), LATER)
    assert (ended.status.reason, ended.status.message) == ("USER_ABORT", "enough")


def test_a_reset_without_results_forgets_the_iterations_but_not_the_number_of_attempts() -> None:
    ended = a_task(state=TaskState.FAILED, attempt=2, last_iteration=9, reason="EXIT_CODE", exit_code=3)
    kept, dropped = (lifecycle.reset(ended, keep, 0, LATER).status for keep in (True, False))
    assert (kept.last_iteration, dropped.last_iteration) == (9, None)
    assert (dropped.attempt, dropped.reason, dropped.exit_code, dropped.state) == (2, "", None, TaskState.DRAFT)


def test_a_run_that_is_to_stop_and_that_the_queue_service_has_forgotten_ends_here() -> None:
    stopping = lifecycle.abort(in_state(TaskState.RUNNING), "enough", LATER)
    ended = lifecycle.forgotten(stopping, "e0", LATER)
    assert (ended.status.state, ended.status.message, ended.status.attempt_open) == (TaskState.ABORTED, "enough", False)
    assert lifecycle.forgotten(stopping, "other", LATER) is stopping
    running = in_state(TaskState.RUNNING)
    assert lifecycle.forgotten(running, "e0", LATER) is running


def test_a_stopping_local_run_without_a_courier_is_given_up() -> None:
    stopping = lifecycle.abort(lifecycle.start(a_task(), "laptop", LATER), "", LATER)
    ended = lifecycle.give_up(stopping, LATER)
    assert (ended.status.state, ended.status.attempt_open) == (TaskState.ABORTED, False)
    running = lifecycle.start(a_task(), "laptop", LATER)
    assert lifecycle.give_up(running, LATER) is running


def queued(**status: Any) -> Task:
    """A task in a queue, entry `e1`."""
    return a_task(state=TaskState.QUEUED, entry_id="e1", queue_id="q1", **status)


def happened(state: EntryState, phase: Phase = Phase.NONE, attempt: int = 1, **fields: Any) -> EntryEvent:
    """An event of entry `e1`."""
    return EntryEvent("e1", "t1", state, attempt, phase, agent_id="a1", host="h1", event_time=LATER, **fields)


def after(task: Task, *told: EntryEvent) -> Task:
    """The task after events."""
    for event in told:
        task = events.apply(task, event, LATER)
    return task


OFFERED = happened(EntryState.OFFERED, Phase.OFFERED)
ACCEPTED = happened(EntryState.RUNNING, Phase.ACCEPTED)
RUNNING = happened(EntryState.RUNNING, Phase.RUNNING)


def test_an_offer_leaves_the_task_queued_and_lets_its_bearer_write() -> None:
    status = after(queued(), OFFERED).status
    assert (status.state, status.attempt, status.attempt_open) == (TaskState.QUEUED, 1, True)


def test_an_accepted_task_runs_and_starts_when_its_process_does() -> None:
    accepted = after(queued(), OFFERED, ACCEPTED)
    assert (accepted.status.state, accepted.status.start_time) == (TaskState.RUNNING, None)
    running = after(accepted, RUNNING)
    assert (running.status.phase, running.status.start_time) == (Phase.RUNNING, LATER)
    assert (running.status.agent_id, running.status.host) == ("a1", "h1")


def test_an_entry_that_somebody_took_out_at_the_queue_leaves_a_draft_that_says_why() -> None:
    taken = happened(EntryState.WITHDRAWN, Phase.NONE, 0, reason="REMOVED", message="cleared by ada", queue_name="gpu")
    status = after(queued(), taken).status
    assert (status.state, status.entry_id, status.queue_name, status.settled) == (TaskState.DRAFT, "", "", True)
    assert (status.reason, status.message, status.end_time) == ("", "cleared by ada", None)
    offered = happened(EntryState.WITHDRAWN, Phase.CANCELLED, reason="REMOVED")
    status = after(queued(), OFFERED, offered).status
    assert (status.state, status.attempt, status.attempt_open) == (TaskState.DRAFT, 1, False)


@pytest.mark.parametrize(
    ("end", "state", "reason"),
    [
        (happened(EntryState.DONE, Phase.SUCCEEDED, exit_code=0), TaskState.COMPLETED, ""),
        (happened(EntryState.DONE, Phase.FAILED, exit_code=3), TaskState.FAILED, "EXIT_CODE"),
        (happened(EntryState.DONE, Phase.FAILED, signal=11), TaskState.FAILED, "SIGNAL"),
        (happened(EntryState.DONE, Phase.FAILED, reason="ENVIRONMENT"), TaskState.FAILED, "ENVIRONMENT"),
        (happened(EntryState.DONE, Phase.CANCELLED, reason="TIMEOUT"), TaskState.ABORTED, "TIMEOUT"),
        (happened(EntryState.DONE, Phase.LOST), TaskState.FAILED, "AGENT_LOST"),
        (happened(EntryState.WITHDRAWN, Phase.NONE, 0), TaskState.ABORTED, "USER_ABORT"),
    ],
)
def test_each_end_of_an_entry_is_an_end_of_the_task(end: EntryEvent, state: TaskState, reason: str) -> None:
    status = after(queued(), ACCEPTED, RUNNING, end).status
    assert (status.state, status.reason, status.attempt_open, status.end_time) == (state, reason, False, LATER)
    assert (status.exit_code, status.signal) == (end.exit_code, end.signal)


def test_a_lost_attempt_puts_the_task_back_into_the_queue_and_the_next_one_runs() -> None:
    lost = after(queued(), RUNNING, happened(EntryState.WAITING, Phase.LOST))
    assert (lost.status.state, lost.status.attempt_open, lost.status.reason) == (TaskState.QUEUED, False, "AGENT_LOST")
    again = after(lost, happened(EntryState.RUNNING, Phase.RUNNING, attempt=2)).status
    assert (again.state, again.attempt, again.attempt_open, again.reason) == (TaskState.RUNNING, 2, True, "")


def test_a_held_task_that_is_moved_names_its_new_queue_and_keeps_its_last_attempt() -> None:
    held = after(queued(), RUNNING, happened(EntryState.HELD, Phase.LOST, message="two agents died of it"))
    told = EntryEvent("e1", "t1", EntryState.HELD, message="two agents died of it", queue_id="q2", queue_name="slow")
    moved = after(held, told).status
    assert (moved.queue_id, moved.queue_name) == ("q2", "slow")
    assert (moved.reason, moved.attempt, moved.phase) == ("HELD", 1, Phase.LOST)
    assert after(held, replace(told, queue_name="")).status.queue_id == "q1"


def test_a_held_entry_shows_why() -> None:
    held = after(queued(), RUNNING, happened(EntryState.HELD, Phase.LOST, message="two agents died of it"))
    assert (held.status.state, held.status.reason) == (TaskState.QUEUED, "HELD")
    assert "two agents died of it" in held.status.message
    released = after(held, happened(EntryState.WAITING, Phase.NONE, attempt=0)).status
    assert (released.state, released.reason, released.message) == (TaskState.QUEUED, "", "")


def test_a_release_that_a_snapshot_tells_of_with_the_last_attempt_is_one_all_the_same() -> None:
    held = after(queued(), RUNNING, happened(EntryState.HELD, Phase.LOST, message="two agents died of it"))
    released = after(held, happened(EntryState.WAITING, Phase.LOST))
    assert (released.status.reason, released.status.message) == ("", "")
    assert after(released, happened(EntryState.WAITING, Phase.LOST)) is released


def test_why_a_task_waits_again_is_not_lost_when_a_snapshot_tells_less_of_it() -> None:
    waiting = after(queued(), RUNNING, happened(EntryState.WAITING, Phase.FAILED, exit_code=3))
    assert after(waiting, happened(EntryState.WAITING, Phase.FAILED)) is waiting


def test_an_abort_of_a_held_task_is_not_taken_back_by_its_hold() -> None:
    stopping = lifecycle.abort(after(queued(), RUNNING), "enough", LATER)
    held = after(stopping, happened(EntryState.HELD, Phase.LOST, message="two agents died of it")).status
    assert (held.state, held.reason, held.message) == (TaskState.STOPPING, "USER_ABORT", "enough")


def test_a_rejected_offer_leaves_the_task_queued_and_closes_the_attempt() -> None:
    status = after(queued(), OFFERED, happened(EntryState.WAITING, Phase.REJECTED)).status
    assert (status.state, status.attempt_open) == (TaskState.QUEUED, False)


def test_an_abort_holds_through_whatever_the_agent_still_reports() -> None:
    stopping = lifecycle.abort(after(queued(), RUNNING), "enough", LATER)
    assert after(stopping, happened(EntryState.RUNNING, Phase.FINISHING)).status.state is TaskState.STOPPING
    assert after(stopping, happened(EntryState.WAITING, Phase.LOST)).status.state is TaskState.STOPPING
    for end in (happened(EntryState.DONE, Phase.CANCELLED), happened(EntryState.DONE, Phase.LOST)):
        ended = after(stopping, end).status
        assert (ended.state, ended.message) == (TaskState.ABORTED, "enough")


def test_a_task_aborted_while_its_offer_was_taken_stays_aborted_and_learns_the_number() -> None:
    aborted = lifecycle.abort(queued(), "enough", LATER)
    seen = after(aborted, RUNNING, happened(EntryState.DONE, Phase.CANCELLED))
    assert (seen.status.state, seen.status.attempt, seen.status.settled) == (TaskState.ABORTED, 1, True)
    assert not seen.status.attempt_open


def test_events_of_an_entry_that_no_longer_counts_only_raise_the_number() -> None:
    fresh = replace(queued(), status=replace(queued().status, entry_id="e2"))
    seen = after(fresh, happened(EntryState.DONE, Phase.SUCCEEDED, attempt=5))
    assert (seen.status.state, seen.status.attempt) == (TaskState.QUEUED, 5)


def test_a_newer_attempt_opens_by_its_token_before_its_event_and_an_ended_task_has_none() -> None:
    opened = events.opened(after(queued(), RUNNING), 2, LATER)
    assert opened is not None
    assert (opened.status.attempt, opened.status.attempt_open) == (2, True)
    assert after(opened, happened(EntryState.WAITING, Phase.LOST)).status == opened.status
    for state in (TaskState.DRAFT, TaskState.COMPLETED, TaskState.FAILED, TaskState.ABORTED):
        assert events.opened(in_state(state), 9, LATER) is None
    assert events.opened(lifecycle.start(a_task(), "laptop", LATER), 2, LATER) is None


EVENTS = st.builds(
    EntryEvent,
    entry_id=st.sampled_from(["e0", "e1"]),
    task_id=st.just("t1"),
    entry_state=st.sampled_from(list(EntryState)),
    attempt=st.integers(0, 4),
    phase=st.sampled_from(list(Phase)),
)
COMMANDS = st.one_of(EVENTS, st.sampled_from(["abort", "token"]))


@given(st.lists(COMMANDS, max_size=25))
def test_whatever_comes_in_whatever_order_ends_stay_and_numbers_and_generations_only_grow(
    history: list[EntryEvent | str],
) -> None:
    task = queued()
    for step in history:
        before = task
        if isinstance(step, EntryEvent):
            task = events.apply(task, step, LATER)
        elif step == "token":
            task = events.opened(task, task.status.attempt + 1, LATER) or task
        elif not task.status.state.ended:
            task = lifecycle.abort(task, "", LATER)
        assert task.status.attempt >= before.status.attempt
        assert (task.generation == before.generation) == (task == before)
        if before.status.state.ended:
            assert task.status.state is before.status.state
            assert not task.status.attempt_open
        if before.status.state is TaskState.STOPPING:
            assert task.status.state is TaskState.STOPPING or task.status.state.ended
