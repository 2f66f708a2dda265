"""Judges a history by the invariants that no fault may break. It believes no program's word, only what was stored.

I1 no task that was acknowledged is lost. I2 attempts of one task never run at the same time. I3 nothing rests short of
an end. I4 every acknowledged byte of a log is there exactly once. I5 an end is an end. I6 no agent has more than its
places. I8 attempts stay within their limits. And what the log promises: positions without holes, attempts and phases
that grow.
(I7, refused writes are in the audit table, is judged where a test makes such a write.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tests.chaos.history import Event, History

HELD, DONE = 30, 50
OFFERED, ENDED, REJECTED = 10, 60, 63
COMPLETED = 50


def breaks(history: History, submitted: Collection[str]) -> list[str]:
    """What is broken, a line each; empty when nothing is. `submitted`: tasks whose enqueue was acknowledged."""
    return [
        *_lost(history, submitted),
        *_overlaps(history),
        *_unfinished(history, submitted),
        *_logs(history),
        *_ends(history),
        *_places(history),
        *_limits(history),
        *_order(history),
    ]


def _lost(history: History, submitted: Collection[str]) -> Iterator[str]:
    known = {entry.task_id for entry in history.entries}
    for task_id in submitted:
        if task_id not in history.tasks:
            yield f"I1 task {task_id} was acknowledged and the API does not know it"
        elif task_id not in known:
            yield f"I1 task {task_id} was acknowledged and the queue has no entry of it"


def _overlaps(history: History) -> Iterator[str]:
    for task_id, lines in history.runs.items():
        if any(line.endswith("overlap") for line in lines):
            yield f"I2 task {task_id} ran twice at the same time: {lines}"


def _unfinished(history: History, submitted: Collection[str]) -> Iterator[str]:
    for entry in history.entries:
        if entry.task_id in submitted and entry.state < DONE and entry.state != HELD:
            yield f"I3 entry {entry.id} of task {entry.task_id} rests in state {entry.state}"
    for task_id in submitted:
        state = history.tasks.get(task_id, COMPLETED)
        held = any(entry.task_id == task_id and entry.state == HELD for entry in history.entries)
        if state < COMPLETED and not held:
            yield f"I3 task {task_id} rests in state {state}"


def _logs(history: History) -> Iterator[str]:
    ends: dict[tuple[str, int, str], int] = {}
    for chunk in history.chunks:
        key = chunk.task_id, chunk.attempt, chunk.producer
        if chunk.offset != ends.get(key, 0):
            yield f"I4 the log {key} goes on at {chunk.offset} after {ends.get(key, 0)}"
        ends[key] = chunk.offset + chunk.length
    for key, committed in history.committed.items():
        if ends.get(key, 0) != committed:
            yield f"I4 the log {key} was acknowledged up to {committed} and ends at {ends.get(key, 0)}"


def _ends(history: History) -> Iterator[str]:
    ended: dict[str, Event] = {}
    for event in history.events:
        if event.entry_id in ended:
            yield f"I5 entry {event.entry_id} had ended at {ended[event.entry_id].position} and went on: {event}"
        if event.state >= DONE:
            ended.setdefault(event.entry_id, event)


def _places(history: History) -> Iterator[str]:
    open_now: dict[str, set[tuple[str, int]]] = {}
    for event in history.events:
        if not event.attempt or not event.agent_id:
            continue
        mine = open_now.setdefault(event.agent_id, set())
        ref = event.task_id, event.attempt
        if event.phase >= ENDED:
            mine.discard(ref)
        elif event.phase >= OFFERED:
            mine.add(ref)
        limit = history.places.get(event.agent_id)
        if limit is not None and len(mine) > limit:
            yield f"I6 agent {event.agent_id} has {len(mine)} attempts and {limit} places at {event.position}"
    for agent_id, left in open_now.items():
        ended = {entry.task_id for entry in history.entries if entry.state >= DONE}
        for task_id, attempt in left:
            if task_id in ended:
                yield f"I6 attempt {attempt} of task {task_id} holds a place of {agent_id} after the end"


def _limits(history: History) -> Iterator[str]:
    for entry in history.entries:
        if entry.losses > entry.max_losses + 1:
            yield f"I8 entry {entry.id} was lost {entry.losses} times, of {entry.max_losses} allowed"


def _order(history: History) -> Iterator[str]:
    attempts: dict[str, int] = {}
    phases: dict[tuple[str, int], int] = {}
    before: int | None = None
    for event in history.events:
        if before is not None and event.position != before + 1:
            yield f"the log jumps from {before} to {event.position}"
        before = event.position
        if not event.attempt:
            continue
        if event.attempt < attempts.get(event.task_id, 0):
            yield f"attempt {event.attempt} of task {event.task_id} speaks after a later one at {event.position}"
        attempts[event.task_id] = max(attempts.get(event.task_id, 0), event.attempt)
        ref = event.task_id, event.attempt
        if event.phase <= phases.get(ref, 0):
            yield f"phase of {ref} fell from {phases[ref]} to {event.phase} at {event.position}"
        phases[ref] = event.phase
