"""An agent says Hello: what it may keep, what it has lost, and what it should have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from batuta_queue.leases import HOST_RESTARTED, STREAM_RESET, VANISHED
from batuta_queue.ledger import Aftermath, Ledger
from batuta_queue.model import Agent, Attempt, AttemptPhase, Drain, Entry, Payload, Ref
from batuta_queue.store import QueueStore
from batuta_queue.transitions import give_back, lose


@dataclass(frozen=True, slots=True)
class Joined:
    """What an agent has from now on: every open attempt, the report number of its journal, and a drain that stands."""

    expected: Sequence[tuple[Entry, Attempt, Payload]]
    report_number: int
    drain: Drain | None = None


def join(
    store: QueueStore,
    aftermath: Aftermath,
    agent: Agent,
    held: Mapping[Ref, AttemptPhase],
    now: int,
    chance: Callable[[], float],
) -> Joined:
    """Compare what the agent holds with what it should hold.

    Offers of earlier streams go back. Of the accepted attempts, those of an earlier boot died with it, and those that
    the agent does not hold are gone; the rest is expected of it.
    """
    ledger = Ledger(store, aftermath)
    kept: list[tuple[Entry, Attempt]] = []
    for entry, attempt in store.open_attempts(agent.journal_id):
        if attempt.phase is AttemptPhase.OFFERED:
            ledger.record(give_back(entry, attempt, STREAM_RESET, now))
        elif attempt.holder.boot_id != agent.boot_id:
            ledger.record(lose(entry, attempt, HOST_RESTARTED, now, chance()))
        elif attempt.ref not in held:
            ledger.record(lose(entry, attempt, VANISHED, now, chance()))
        else:
            kept.append((entry, attempt))
    ledger.write()
    store.save_agent(agent)
    stored = store.agent(agent.id)
    payloads = store.payloads([entry.id for entry, _ in kept])
    expected = [(entry, attempt, payloads[entry.id]) for entry, attempt in kept]
    return Joined(expected, store.report_number(agent.journal_id), stored.drain if stored else None)
