"""The state machine of entries and attempts: pure functions from what is to what becomes.

Each returns a `Step`; whoever calls it has checked that the attempt is the entry's current one and still open.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from batuta_queue.backoff import retry_delay_millis
from batuta_queue.model import (
    Attempt,
    AttemptPhase,
    Cancel,
    CancelReason,
    Entry,
    EntryState,
    Holder,
    LeasePolicy,
    Reason,
    Ref,
    Report,
    Tail,
)

INFRASTRUCTURE = frozenset({"ENVIRONMENT_INFRASTRUCTURE", "GPU_UNHEALTHY", "SHIM_LOST"})
"""Reasons of a FAILED report that blame the machine: the entry is tried again, within its budget of losses. Every other
failure (exit code, signal, out of memory, an environment that cannot be) is the task's own, with its own budget."""
PREEMPTED = "PREEMPTED"
"""Why an attempt ended that had to make room."""
REMOVED = "REMOVED"
"""Why an entry was withdrawn here, and not at its submitter's word: its task is a draft again."""
_SUSPICIOUS = frozenset({"SHIM_LOST"})


@dataclass(frozen=True, slots=True)
class Step:
    """One change: the entry and its attempt after it, and what the event log says about it."""

    entry: Entry
    attempt: Attempt | None
    event_millis: int
    new_entry: bool = False
    new_attempt: bool = False
    entry_changed: bool = True
    logged: bool = True
    """Whether the event log tells it: a wish to stop changes no state."""
    left_queue: str = ""
    """The queue in which the entry was, where the step puts it to another place, in that queue or elsewhere."""
    goes_last: bool = False
    """Whether its new place is that of the step's event, behind all others of its priority."""
    reason: Reason | None = None
    exit_code: int | None = None
    signal: int | None = None
    tails: tuple[Tail, ...] = ()


@dataclass(frozen=True, slots=True)
class Loss:
    """How an attempt was lost. `counted`: against the budget. `suspicious`: the task itself may have done it. `moves`:
    somebody's word moves the work even under KEEP, which nothing moves by itself."""

    reason: Reason
    counted: bool = True
    suspicious: bool = True
    moves: bool = False


def enter(entry: Entry) -> Step:
    """A new entry takes its place."""
    return Step(entry, None, entry.enqueue_millis, new_entry=True)


def next_attempt(entry: Entry, last_of_task: int) -> int:
    """The number of the entry's next attempt: above every one that its task ever had."""
    return max(entry.attempt, last_of_task) + 1


def offer(entry: Entry, holder: Holder, number: int, now: int) -> Step:
    """A waiting entry is offered to an agent, under a new attempt number."""
    attempt = Attempt(Ref(entry.task_id, number), entry.id, holder, AttemptPhase.OFFERED, now)
    offered = replace(entry, state=EntryState.OFFERED, attempt=number, agent_id=holder.agent_id, hold_reason="")
    return Step(offered, attempt, now, new_attempt=True)


def give_back(entry: Entry, attempt: Attempt, reason: Reason, now: int) -> Step:
    """An offer was refused or not answered: the entry goes back to where it stood. Costs nothing."""
    back = replace(entry, state=EntryState.WAITING)
    return Step(back, _close(attempt, AttemptPhase.REJECTED, now), now, reason=reason)


def lose(entry: Entry, attempt: Attempt, loss: Loss, now: int, chance: float) -> Step:
    """The attempt's agent or shim is gone. `chance` in [0, 1] spreads the time of the next try."""
    if _preempted(entry):
        reason = Reason(PREEMPTED, f"it had to make room; then: {loss.reason.message}")
        return Step(_after_preemption(entry, now), _close(attempt, AttemptPhase.LOST, now), now, reason=reason)
    if entry.cancel is not None:
        # Somebody wants it stopped, and it has stopped: trying again would be the one wrong answer.
        done = replace(entry, state=EntryState.DONE, end_millis=now)
        return Step(done, _close(attempt, AttemptPhase.CANCELLED, now), now, reason=loss.reason)
    return Step(_after_loss(entry, loss, now, chance), _close(attempt, AttemptPhase.LOST, now), now, reason=loss.reason)


def report(entry: Entry, attempt: Attempt, said: Report, now: int, chance: float) -> Step | None:
    """What a report of the agent that has the attempt does. None: nothing, the phase is not beyond the one known."""
    if said.phase <= attempt.phase:
        return None
    if not said.phase.ended:
        return _advance(entry, attempt, said, now)
    if said.phase is AttemptPhase.REJECTED and attempt.phase is AttemptPhase.OFFERED:
        refused = Reason("ASSIGNMENT_REJECTED", "the agent did not take it")
        return give_back(entry, attempt, said.reason or refused, now)
    if said.phase in (AttemptPhase.LOST, AttemptPhase.REJECTED):
        gone = Reason("ATTEMPT_LOST", "the agent lost its process", 14)
        return lose(entry, attempt, Loss(said.reason or gone), now, chance)
    reason = said.reason
    if _preempted(entry) and said.phase is not AttemptPhase.SUCCEEDED:
        reason = Reason(PREEMPTED, "it had to make room and is tried again elsewhere")
    return Step(
        _after_end(entry, said, now, chance),
        _close(attempt, said.phase, now),
        said.event_millis,
        reason=reason,
        exit_code=said.exit_code,
        signal=said.signal,
        tails=said.tails,
    )


def withdraw(
    entry: Entry, attempt: Attempt | None, cancel: Cancel, now: int, reason: Reason | None = None
) -> Step | None:
    """Take an entry out. One that runs only gets the standing wish. None: it has ended, or already has that wish."""
    if entry.state.ended or (entry.state is EntryState.RUNNING and entry.cancel == cancel):
        return None
    # A person's wish stands above a preemption, which would have the task tried again.
    if entry.state is EntryState.RUNNING:
        return Step(replace(entry, cancel=cancel), attempt, now, logged=False)
    gone = replace(entry, state=EntryState.WITHDRAWN, cancel=cancel, end_millis=now)
    closed = None
    if entry.state is EntryState.OFFERED and attempt is not None:
        closed = _close(attempt, AttemptPhase.CANCELLED, now)
    return Step(gone, closed, now, reason=reason)


def without_queue(step: Step) -> Step:
    """The step as it is, unless the entry would go back into line and its queue was deleted meanwhile: it leaves."""
    entry = step.entry
    if entry.queue_id or entry.state not in (EntryState.WAITING, EntryState.HELD):
        return step
    before = "" if step.reason is None else f": {step.reason.message}"
    reason = Reason(REMOVED, f"its queue was deleted while it ran, and the run ended too early{before}", 1)
    gone = replace(entry, state=EntryState.WITHDRAWN, hold_reason="", end_millis=step.event_millis)
    return replace(step, entry=gone, reason=reason)


def preempt(entry: Entry, attempt: Attempt, grace_millis: int, reason: Reason, now: int) -> Step | None:
    """Have a running attempt make room: it is asked to stop, and its entry is tried again at no cost. None: it has
    ended, or a wish to stop stands already."""
    if attempt.phase.ended or entry.cancel is not None:
        return None
    if attempt.phase is AttemptPhase.OFFERED:
        return give_back(entry, attempt, reason, now)
    return Step(replace(entry, cancel=Cancel(grace_millis, CancelReason.PREEMPTED)), attempt, now, logged=False)


def release(entry: Entry, now: int) -> Step | None:
    """Let a held entry go again, its counters at zero. None: it is not held."""
    if entry.state is not EntryState.HELD:
        return None
    free = replace(
        entry, state=EntryState.WAITING, hold_reason="", losses=0, failures=0, last_lost_agent="", not_before_millis=0
    )
    return Step(free, None, now)


def move(entry: Entry, queue_id: str, priority: int, position: int | None, now: int) -> Step | None:
    """Put an entry that no agent has to another place; `position` None is the last one. None: an agent has it, or it
    has ended."""
    if entry.state not in (EntryState.WAITING, EntryState.HELD):
        return None
    moved = replace(entry, queue_id=queue_id, priority=priority)
    if position is None:
        return Step(moved, None, now, left_queue=entry.queue_id, goes_last=True)
    return Step(replace(moved, position=position), None, now, left_queue=entry.queue_id)


def _advance(entry: Entry, attempt: Attempt, said: Report, now: int) -> Step:
    accept_millis = attempt.accept_millis or now
    ahead = replace(attempt, phase=said.phase, accept_millis=accept_millis)
    changed = entry.state is not EntryState.RUNNING
    after = replace(entry, state=EntryState.RUNNING) if changed else entry
    return Step(after, ahead, said.event_millis, entry_changed=changed, reason=said.reason)


def _close(attempt: Attempt, phase: AttemptPhase, now: int) -> Attempt:
    return replace(attempt, phase=phase, end_millis=now)


def _preempted(entry: Entry) -> bool:
    return entry.cancel is not None and entry.cancel.reason is CancelReason.PREEMPTED


def _after_end(entry: Entry, said: Report, now: int, chance: float) -> Entry:
    """The entry once its attempt has said how it ended."""
    name = "" if said.reason is None else said.reason.name
    if said.phase is not AttemptPhase.SUCCEEDED and _preempted(entry):
        return _after_preemption(entry, now)
    if said.phase is AttemptPhase.FAILED and entry.cancel is None:
        if said.reason is not None and name in INFRASTRUCTURE:
            return _after_loss(entry, Loss(said.reason, suspicious=name in _SUSPICIOUS), now, chance)
        return _after_failure(entry, now, chance)
    return replace(entry, state=EntryState.DONE, end_millis=now)


def _after_preemption(entry: Entry, now: int) -> Entry:
    """It stopped for others' sake: back to where it stood, without a pause, however often that happens."""
    return replace(
        entry,
        state=EntryState.WAITING,
        preemptions=entry.preemptions + 1,
        cancel=None,
        not_before_millis=0,
        wait_millis=now,
    )


def _after_failure(entry: Entry, now: int, chance: float) -> Entry:
    # Its agent lives: what came before was no row of lost agents.
    failed = replace(entry, failures=entry.failures + 1, last_lost_agent="")
    if failed.failures > entry.max_failures:
        return replace(failed, state=EntryState.DONE, end_millis=now)
    not_before = now + retry_delay_millis(failed.failures, chance)
    return replace(failed, state=EntryState.WAITING, not_before_millis=not_before, wait_millis=now)


def _after_loss(entry: Entry, loss: Loss, now: int, chance: float) -> Entry:
    losses = entry.losses + (1 if loss.counted else 0)
    poison = loss.suspicious and entry.last_lost_agent not in ("", entry.agent_id)
    last = entry.agent_id if loss.suspicious else entry.last_lost_agent
    counted = replace(entry, losses=losses, last_lost_agent=last)
    stays = entry.policy is LeasePolicy.KEEP and not loss.moves
    if stays or losses > entry.max_losses:
        return replace(counted, state=EntryState.DONE, end_millis=now)
    if poison:
        why = f"lost on {entry.last_lost_agent} and then on {entry.agent_id}: the task may be what kills its agents"
        return replace(counted, state=EntryState.HELD, hold_reason=why, wait_millis=now)
    delay = retry_delay_millis(losses, chance) if loss.counted else 0
    return replace(counted, state=EntryState.WAITING, not_before_millis=now + delay, wait_millis=now)
