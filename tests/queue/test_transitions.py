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
