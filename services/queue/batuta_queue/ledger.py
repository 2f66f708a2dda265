"""Writes steps into one transaction: the entry, its attempt and its event, and after the commit what they wake.

Several steps of one entry in one transaction make one row and an event each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from batuta_queue.model import NO_PAYLOAD, Attempt, AttemptPhase, Entry, EntryState, Event, Payload, Reason, Ref
from batuta_queue.store import QueueStore
from batuta_queue.transitions import Step, without_queue

Aftermath = Callable[[Sequence[Step]], None]
"""What happens on the event loop once steps are durable."""


class Ledger:
    """The steps of one use case. `write` once, as the last thing of it."""

    def __init__(self, store: QueueStore, aftermath: Aftermath) -> None:
        self._store = store
        self._aftermath = aftermath
        self._steps: list[Step] = []
        self._payloads: dict[str, Payload] = {}

    def record(self, step: Step, payload: Payload = NO_PAYLOAD) -> None:
        """Add a step; `payload` goes with a new entry."""
        self._steps.append(without_queue(step))
        if step.new_entry:
            self._payloads[step.entry.id] = payload

    def write(self) -> list[Step]:
        """Store everything, and promise the aftermath. Returns the steps, with the places that new entries got."""
        if not self._steps:
            return []
        steps = self._place()
        self._write_rows(steps)
        self._store.after_commit(lambda: self._aftermath(steps))
        self._steps = []
        return steps

    def _place(self) -> list[Step]:
        """Give events their positions, and to each entry that is new or goes last that of its event."""
        position = self._store.next_positions(logged) if (logged := sum(step.logged for step in self._steps)) else 0
        places: dict[str, int] = {}
        steps: list[Step] = []
        events: list[Event] = []
        for step in self._steps:
            if step.new_entry or step.goes_last:
                places[step.entry.id] = position
            if step.entry.id in places:
                step = replace(step, entry=replace(step.entry, position=places[step.entry.id]))
            if step.logged:
                step = _placed(step, position)
                events.append(_event(step, position))
                position += 1
            steps.append(step)
        self._store.add_events(events)
        return steps

    def _write_rows(self, steps: Sequence[Step]) -> None:
        new_entries: dict[str, Entry] = {}
        entries: dict[str, Entry] = {}
        new_attempts: dict[Ref, Attempt] = {}
        attempts: dict[Ref, Attempt] = {}
        for step in steps:
            if step.new_entry or step.entry.id in new_entries:
                new_entries[step.entry.id] = step.entry
            elif step.entry_changed:
                entries[step.entry.id] = step.entry
            if step.attempt is not None and (step.new_attempt or step.attempt.ref in new_attempts):
                new_attempts[step.attempt.ref] = step.attempt
            elif step.attempt is not None:
                attempts[step.attempt.ref] = step.attempt
        for entry in new_entries.values():
            self._store.add_entry(entry, self._payloads[entry.id])
        self._store.save_entries(list(entries.values()))
        self._store.place_entries([step.entry for step in steps if step.left_queue])
        self._store.add_attempts(list(new_attempts.values()))
        self._store.save_attempts(list(attempts.values()))


def _placed(step: Step, position: int) -> Step:
    """With the place of its event, so that the newest event of an entry is found from the rows that change anyway."""
    entry = replace(step.entry, last_position=position)
    attempt = None if step.attempt is None else replace(step.attempt, last_position=position)
    return replace(step, entry=entry, attempt=attempt)


def _reason(step: Step) -> Reason | None:
    """Why, as the log tells it: of an entry that is held, why it is."""
    entry, reason = step.entry, step.reason
    if entry.state is not EntryState.HELD or not entry.hold_reason:
        return reason
    if reason is None:
        return Reason("HELD", entry.hold_reason)
    return replace(reason, message=f"{entry.hold_reason}; the last loss: {reason.message}", status=b"")


def _event(step: Step, position: int) -> Event:
    entry, attempt = step.entry, step.attempt
    return Event(
        position=position,
        entry_id=entry.id,
        task_id=entry.task_id,
        entry_state=entry.state,
        attempt=0 if attempt is None else attempt.ref.attempt,
        phase=AttemptPhase.UNSPECIFIED if attempt is None else attempt.phase,
        event_millis=step.event_millis,
        agent_id="" if attempt is None else attempt.holder.agent_id,
        host="" if attempt is None else attempt.holder.host,
        reason=_reason(step),
        exit_code=step.exit_code,
        signal=step.signal,
        tails=step.tails,
        queue_id=entry.queue_id,
    )
