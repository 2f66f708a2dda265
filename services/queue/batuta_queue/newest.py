"""The newest event of an entry, from its row, its attempt's row and the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from batuta_queue.model import Attempt, AttemptPhase, Entry, EntryState, Event


def position(entry: Entry, attempt: Attempt | None) -> int:
    """Where the newest event of an entry stands; `attempt` is its current one. 0: it is older than this was kept."""
    return max(entry.last_position, 0 if attempt is None else attempt.last_position)


def newest(entry: Entry, attempt: Attempt | None, kept: Mapping[int, Event]) -> Event:
    """The event, or one that says the same where the log has forgotten it.

    Old events go while their entry lives on, be it only because a task runs for longer than the log remembers. And that
    somebody has let an entry go or moved it is about no attempt, but names the last one here all the same: who asks for
    the newest event may not know those before it, and must not take the entry for an older copy that has had no
    attempt.
    """
    place = position(entry, attempt)
    event = kept.get(place)
    idle = event is not None and event.entry_state in (EntryState.WAITING, EntryState.HELD)
    if event is not None and idle and attempt is not None and not event.attempt:
        holder = attempt.holder
        about = replace(event, attempt=attempt.ref.attempt, phase=attempt.phase)
        return replace(about, agent_id=holder.agent_id, host=holder.host)
    if event is not None:
        return event
    return Event(
        position=place,
        entry_id=entry.id,
        task_id=entry.task_id,
        entry_state=entry.state,
        attempt=0 if attempt is None else attempt.ref.attempt,
        phase=AttemptPhase.UNSPECIFIED if attempt is None else attempt.phase,
        event_millis=_time(entry, attempt),
        agent_id="" if attempt is None else attempt.holder.agent_id,
        host="" if attempt is None else attempt.holder.host,
        queue_id=entry.queue_id,
    )


def _time(entry: Entry, attempt: Attempt | None) -> int:
    if entry.end_millis is not None:
        return entry.end_millis
    if attempt is None:
        return entry.enqueue_millis
    return attempt.end_millis or attempt.accept_millis or attempt.offer_millis
