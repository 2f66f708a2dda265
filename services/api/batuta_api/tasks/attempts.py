"""What is kept of each attempt of a task: how far it came, where, and why it ended. Pure.

An attempt only goes on: its phase grows, its end is the end, and what is said late, twice or again changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from batuta_api.tasks.events import AGENT_LOST, EntryEvent, failure
from batuta_api.tasks.model import Phase, Task

UNHEARD = "END_UNHEARD"
ENQUEUED = "ENQUEUED"
RESET = "RESET"


@dataclass(frozen=True)
class Attempt:
    """One try of a task. `offer_time` of a local one is its beginning."""

    number: int
    phase: Phase
    local: bool = False
    agent_id: str = ""
    host: str = ""
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    signal: int | None = None
    offer_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None

    def ended(self, phase: Phase, now: datetime, reason: str = "", message: str = "") -> Attempt:
        """The attempt at its end; one that has ended comes back unchanged."""
        if self.phase.ended:
            return self
        return replace(self, phase=phase, reason=reason, message=message, end_time=now)


def heard(known: Attempt | None, event: EntryEvent, now: datetime) -> Attempt:
    """The attempt after an event about it; the same object when the event says nothing new."""
    before = known or Attempt(event.attempt, Phase.NONE)
    if before.phase.ended or (known is not None and event.phase <= before.phase):
        return before
    when = event.event_time or now
    after = replace(
        before,
        phase=event.phase,
        agent_id=event.agent_id or before.agent_id,
        host=event.host or before.host,
        offer_time=before.offer_time or when,
        start_time=before.start_time or (when if event.phase in (Phase.RUNNING, Phase.FINISHING) else None),
    )
    if not event.phase.ended:
        return after
    reason, message = _why(event)
    return replace(after, reason=reason, message=message, exit_code=event.exit_code, signal=event.signal, end_time=when)


def begun_locally(task: Task) -> Attempt:
    """The attempt of a local run that has just begun."""
    status = task.status
    return Attempt(
        status.attempt,
        Phase.RUNNING,
        local=True,
        host=status.host,
        offer_time=status.start_time,
        start_time=status.start_time,
    )


def ended_locally(known: Attempt, task: Task, now: datetime) -> Attempt:
    """The attempt of a local run after its task has ended."""
    status = task.status
    ended = known.ended(status.phase, now, status.reason, status.message)
    return ended if ended is known else replace(ended, exit_code=status.exit_code, signal=status.signal)


def overtaken(known: Attempt, now: datetime) -> Attempt:
    """The attempt once a later one is there: it is over, even where nobody has said how it ended."""
    return known.ended(
        Phase.LOST, now, UNHEARD, "it is over, for a later attempt is there; how it ended was never heard"
    )


def _why(event: EntryEvent) -> tuple[str, str]:
    if event.phase is Phase.SUCCEEDED:
        return "", ""
    if event.phase is Phase.FAILED:
        return failure(event)
    if event.phase is Phase.LOST:
        return event.reason or AGENT_LOST, event.message or "its agent was lost"
    if event.phase is Phase.CANCELLED:
        return event.reason or "CANCELLED", event.message or "it was told to stop"
    return event.reason or event.phase.name, event.message or "the agent gave it back before it began"
