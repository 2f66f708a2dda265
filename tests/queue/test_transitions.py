"""The state machine by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from batuta_queue.model import (
    Attempt,
    AttemptPhase,
    Cancel,
    CancelReason,
    Entry,
    EntryState,
    LeasePolicy,
    Reason,
    Ref,
    Report,
)
from batuta_queue.testing import make_attempt, make_entry, make_holder
from batuta_queue.transitions import (
    Loss,
    enter,
    give_back,
    lose,
    next_attempt,
    offer,
    preempt,
    release,
    report,
    retry_delay_millis,
    withdraw,
)

GONE = Loss(Reason("LEASE_EXPIRED", "gone", 14))
REBOOT = Loss(Reason("HOST_RESTARTED", "reboot", 14), suspicious=False)
USER = Cancel(30_000, CancelReason.USER)


def running(**changes: Any) -> tuple[Entry, Attempt]:
    entry = make_entry(state=EntryState.RUNNING, attempt=1, agent_id="agent-1", **changes)
    return entry, make_attempt(entry, phase=AttemptPhase.RUNNING)


def said(phase: AttemptPhase, **changes: Any) -> Report:
    return replace(Report(1, Ref("task-of-entry-1", 1), phase, 5_000), **changes)


def test_an_offer_takes_the_next_attempt_number_of_its_task() -> None:
    entry = make_entry(attempt=3)
    assert next_attempt(entry, 0) == 4
    assert next_attempt(entry, 9) == 10
    step = offer(entry, make_holder(), 10, 2_000)
    assert (step.entry.state, step.entry.attempt, step.entry.agent_id) == (EntryState.OFFERED, 10, "agent-1")
    assert step.attempt is not None
    assert step.attempt.ref == Ref(entry.task_id, 10)


def test_an_entry_that_comes_in_says_so_at_its_own_time() -> None:
    assert enter(make_entry()).event_millis == 1_000


def test_an_offer_given_back_costs_nothing_and_keeps_its_place() -> None:
    entry = make_entry(state=EntryState.OFFERED, attempt=1, position=7)
    step = give_back(entry, make_attempt(entry), Reason("OFFER_RETURNED", ""), 3_000)
    assert (step.entry.state, step.entry.losses, step.entry.position) == (EntryState.WAITING, 0, 7)
    assert step.attempt is not None
    assert step.attempt.phase is AttemptPhase.REJECTED


@pytest.mark.parametrize("phase", [AttemptPhase.ACCEPTED, AttemptPhase.PREPARING, AttemptPhase.RUNNING])
def test_any_report_beyond_the_offer_makes_the_entry_run(phase: AttemptPhase) -> None:
    entry = make_entry(state=EntryState.OFFERED, attempt=1)
    step = report(entry, make_attempt(entry), said(phase), 3_000, 0.5)
    assert step is not None
    assert step.entry.state is EntryState.RUNNING
    assert step.attempt is not None
    assert (step.attempt.phase, step.attempt.accept_millis) == (phase, 3_000)


def test_a_phase_that_is_not_beyond_the_known_one_does_nothing() -> None:
    entry, attempt = running()
    assert report(entry, attempt, said(AttemptPhase.PREPARING), 3_000, 0.5) is None
    assert report(entry, attempt, said(AttemptPhase.RUNNING), 3_000, 0.5) is None


@pytest.mark.parametrize("phase", [AttemptPhase.SUCCEEDED, AttemptPhase.FAILED, AttemptPhase.CANCELLED])
def test_an_end_of_its_own_ends_the_entry(phase: AttemptPhase) -> None:
    step = report(*running(), said(phase, exit_code=3), 6_000, 0.5)
    assert step is not None
    assert (step.entry.state, step.exit_code, step.event_millis) == (EntryState.DONE, 3, 5_000)


@pytest.mark.parametrize("name", ["ENVIRONMENT_INFRASTRUCTURE", "SHIM_LOST"])
def test_a_failure_that_blames_the_machine_is_tried_again(name: str) -> None:
    step = report(*running(), said(AttemptPhase.FAILED, reason=Reason(name, "")), 6_000, 1.0)
    assert step is not None
    assert (step.entry.state, step.entry.losses, step.entry.not_before_millis) == (EntryState.WAITING, 1, 7_000)
    assert step.attempt is not None
    assert step.attempt.phase is AttemptPhase.FAILED


def test_a_failure_of_the_user_is_not_tried_again() -> None:
    step = report(*running(), said(AttemptPhase.FAILED, reason=Reason("EXIT_CODE", "")), 6_000, 1.0)
    assert step is not None
    assert step.entry.state is EntryState.DONE


def test_a_loss_is_tried_again_within_its_budget() -> None:
    entry, attempt = running(max_losses=1)
    once = lose(entry, attempt, GONE, 6_000, 0.0)
    assert (once.entry.state, once.entry.losses) == (EntryState.WAITING, 1)
    again = replace(once.entry, state=EntryState.RUNNING, attempt=2)
    twice = lose(again, make_attempt(again, 2), GONE, 7_000, 0.0)
    assert (twice.entry.state, twice.entry.losses) == (EntryState.DONE, 2)
    assert twice.attempt is not None
    assert twice.attempt.phase is AttemptPhase.LOST


def test_a_task_that_loses_two_different_agents_in_a_row_is_held() -> None:
    entry, attempt = running()
    once = lose(entry, attempt, GONE, 6_000, 0.0)
    elsewhere = replace(once.entry, state=EntryState.RUNNING, attempt=2, agent_id="agent-2")
    held = lose(elsewhere, make_attempt(elsewhere, 2, "agent-2"), GONE, 7_000, 0.0)
    assert held.entry.state is EntryState.HELD
    assert "agent-1" in held.entry.hold_reason
    assert "agent-2" in held.entry.hold_reason


def test_the_same_agent_lost_twice_does_not_hold_a_task() -> None:
    entry, attempt = running(last_lost_agent="agent-1")
    assert lose(entry, attempt, GONE, 6_000, 0.0).entry.state is EntryState.WAITING


def test_a_reboot_counts_as_a_loss_and_not_as_suspicion() -> None:
    entry, attempt = running(last_lost_agent="agent-9")
    step = lose(entry, attempt, REBOOT, 6_000, 0.0)
    assert (step.entry.state, step.entry.losses, step.entry.last_lost_agent) == (EntryState.WAITING, 1, "agent-9")


def test_work_under_keep_is_never_moved() -> None:
    entry, attempt = running(policy=LeasePolicy.KEEP)
    assert lose(entry, attempt, GONE, 6_000, 0.0).entry.state is EntryState.DONE


def test_a_loss_while_somebody_wants_it_stopped_is_the_stop() -> None:
    entry, attempt = running(cancel=USER)
    step = lose(entry, attempt, GONE, 6_000, 0.0)
    assert step.entry.state is EntryState.DONE
    assert step.attempt is not None
    assert step.attempt.phase is AttemptPhase.CANCELLED


def test_a_waiting_entry_is_withdrawn_at_once() -> None:
    step = withdraw(make_entry(), None, USER, 6_000)
    assert step is not None
    assert (step.entry.state, step.attempt) == (EntryState.WITHDRAWN, None)


def test_withdrawing_an_offer_closes_its_attempt() -> None:
    entry = make_entry(state=EntryState.OFFERED, attempt=1)
    step = withdraw(entry, make_attempt(entry), USER, 6_000)
    assert step is not None
    assert step.entry.state is EntryState.WITHDRAWN
    assert step.attempt is not None
    assert step.attempt.phase is AttemptPhase.CANCELLED


def test_withdrawing_what_runs_is_a_wish_and_no_event() -> None:
    entry, attempt = running()
    step = withdraw(entry, attempt, USER, 6_000)
    assert step is not None
    assert (step.entry.state, step.entry.cancel, step.logged) == (EntryState.RUNNING, USER, False)
    assert withdraw(step.entry, attempt, USER, 6_000) is None


@pytest.mark.parametrize("state", [EntryState.DONE, EntryState.WITHDRAWN])
def test_what_has_ended_stays_as_it_is(state: EntryState) -> None:
    assert withdraw(make_entry(state=state), None, USER, 6_000) is None


def test_the_wait_after_losses_doubles_to_ten_seconds() -> None:
    assert [retry_delay_millis(losses, 1.0) for losses in (1, 2, 3, 4, 5, 50)] == [1000, 2000, 4000, 8000, 10000, 10000]
    assert retry_delay_millis(1, 0.0) == 500


@pytest.mark.parametrize("name", ["EXIT_CODE", "SIGNAL", "OUT_OF_MEMORY", ""])
def test_a_failure_of_the_user_is_tried_again_as_often_as_asked(name: str) -> None:
    entry, attempt = running(max_failures=1)
    once = report(entry, attempt, said(AttemptPhase.FAILED, reason=Reason(name, "")), 6_000, 1.0)
    assert once is not None
    assert (once.entry.state, once.entry.failures, once.entry.losses) == (EntryState.WAITING, 1, 0)
    assert once.entry.not_before_millis == 7_000
    again = replace(once.entry, state=EntryState.RUNNING, attempt=2)
    twice = report(again, make_attempt(again, 2), said(AttemptPhase.FAILED), 9_000, 1.0)
    assert twice is not None
    assert (twice.entry.state, twice.entry.failures) == (EntryState.DONE, 2)


def test_losses_and_failures_have_budgets_of_their_own() -> None:
    entry, attempt = running(max_failures=1, max_losses=1, failures=1)
    assert lose(entry, attempt, GONE, 6_000, 0.0).entry.state is EntryState.WAITING
    entry, attempt = running(max_failures=1, max_losses=0, losses=0)
    step = report(entry, attempt, said(AttemptPhase.FAILED), 6_000, 0.0)
    assert step is not None
    assert step.entry.state is EntryState.WAITING


def test_a_gpu_that_fell_off_the_bus_is_a_loss_and_no_suspicion() -> None:
    step = report(*running(), said(AttemptPhase.FAILED, reason=Reason("GPU_UNHEALTHY", "")), 6_000, 1.0)
    assert step is not None
    assert (step.entry.losses, step.entry.failures, step.entry.last_lost_agent) == (1, 0, "")


@pytest.mark.parametrize("phase", [AttemptPhase.CANCELLED, AttemptPhase.FAILED, AttemptPhase.LOST])
def test_what_made_room_is_tried_again_at_once_and_at_no_cost(phase: AttemptPhase) -> None:
    entry, attempt = running(max_losses=0, cancel=Cancel(1, CancelReason.PREEMPTED), preemptions=99)
    step = report(entry, attempt, said(phase), 6_000, 1.0)
    assert step is not None
    after = step.entry
    assert (after.state, after.preemptions, after.losses, after.failures) == (EntryState.WAITING, 100, 0, 0)
    assert (after.cancel, after.not_before_millis) == (None, 0)
    assert step.reason is not None
    assert step.reason.name == "PREEMPTED"


def test_what_ends_well_though_it_should_make_room_has_ended() -> None:
    step = report(*running(cancel=Cancel(1, CancelReason.PREEMPTED)), said(AttemptPhase.SUCCEEDED), 6_000, 1.0)
    assert step is not None
    assert (step.entry.state, step.reason) == (EntryState.DONE, None)


def test_making_room_does_not_undo_an_abort() -> None:
    entry, attempt = running(cancel=USER)
    assert preempt(entry, attempt, 1_000, Reason("X", ""), 6_000) is None


def test_an_offer_that_should_make_room_goes_back() -> None:
    entry = make_entry(state=EntryState.OFFERED, attempt=1)
    step = preempt(entry, make_attempt(entry), 1_000, Reason("OFFER_RETURNED", ""), 6_000)
    assert step is not None
    assert (step.entry.state, step.entry.preemptions) == (EntryState.WAITING, 0)


def test_somebodys_word_moves_even_work_under_keep() -> None:
    entry, attempt = running(policy=LeasePolicy.KEEP)
    assert lose(entry, attempt, replace(GONE, moves=True), 6_000, 0.0).entry.state is EntryState.WAITING


def test_a_held_entry_goes_on_with_counters_at_zero() -> None:
    held = make_entry(state=EntryState.HELD, losses=2, failures=1, last_lost_agent="agent-1", hold_reason="why")
    step = release(held, 6_000)
    assert step is not None
    after = step.entry
    assert (after.state, after.losses, after.failures) == (EntryState.WAITING, 0, 0)
    assert (after.last_lost_agent, after.hold_reason) == ("", "")
    assert release(after, 6_000) is None


def test_a_failure_of_its_own_between_two_losses_suspects_nobody() -> None:
    entry, attempt = running(last_lost_agent="agent-9", max_failures=5)
    step = report(entry, attempt, said(AttemptPhase.FAILED), 6_000, 0.0)
    assert step is not None
    assert step.entry.last_lost_agent == ""
