"""Entries are taken out here, and not at their submitter's word: their tasks are drafts again."""

from __future__ import annotations

from batuta_chassis.transactions import Transactor
from batuta_queue.ledger import Aftermath, Ledger
from batuta_queue.model import Attempt, Cancel, CancelReason, Entry, EntryState, Reason, Ref
from batuta_queue.sessions import SessionRegistry
from batuta_queue.store import QueueStore
from batuta_queue.submit import no_entry, send_cancel
from batuta_queue.transitions import REMOVED, withdraw
from batuta_rpc.clock import Clock
from batuta_rpc.errors import IllegalTransition

BATCH = 1_000
"""Entries in one commit: what waits behind them should not wait long."""
NOT_RUNNING = (EntryState.WAITING, EntryState.OFFERED, EntryState.HELD)
_AT_ONCE = Cancel(0, CancelReason.USER)


def removed(message: str) -> Reason:
    """Why an entry was taken out, as the event log tells it."""
    return Reason(REMOVED, message, 1)


class Removals:
    """The use case of `RemoveEntry`, and what clearing and deleting a queue do to its entries."""

    def __init__(
        self, transactor: Transactor[QueueStore], aftermath: Aftermath, registry: SessionRegistry, clock: Clock
    ) -> None:
        self._transactor = transactor
        self._aftermath = aftermath
        self._registry = registry
        self._clock = clock

    async def remove(self, entry_id: str, by: str) -> Entry:
        """Take out one entry. Raises `EntryNotFound`, and `IllegalTransition` when an agent has it or it is done."""
        return await self._transactor.write(lambda store: self._remove(store, entry_id, by))

    def take_out(self, store: QueueStore, queue_id: str, limit: int, why: Reason) -> int:
        """In a running transaction take the next entries out of a queue, but for those that run. Returns how many."""
        found = store.live_entries(queue_id, None, limit, NOT_RUNNING)
        self._withdraw(store, found, why)
        return len(found)

    def _remove(self, store: QueueStore, entry_id: str, by: str) -> Entry:
        entry = store.entry(entry_id)
        if entry is None or not entry.task_id:
            raise no_entry(entry_id)
        if entry.state is EntryState.WITHDRAWN:
            return entry
        if entry.state not in NOT_RUNNING:
            raise _running(entry)
        queue = store.queue(entry.queue_id)
        where = "its queue" if queue is None else f"queue {queue.name!r}"
        return self._withdraw(store, [entry], removed(f"taken out of {where} by {by}"))[0]

    def _withdraw(self, store: QueueStore, found: list[Entry], why: Reason) -> list[Entry]:
        now = self._clock.unix_millis()
        offered = [Ref(each.task_id, each.attempt) for each in found if each.state is EntryState.OFFERED]
        attempts = store.attempts(offered)
        ledger = Ledger(store, self._aftermath)
        for entry in found:
            pair = attempts.get(Ref(entry.task_id, entry.attempt))
            attempt = None if pair is None else pair[1]
            step = withdraw(entry, attempt, _AT_ONCE, now, why)
            assert step is not None
            ledger.record(step)
            if attempt is not None:
                self._cancel_later(store, attempt)
        return [step.entry for step in ledger.write()]

    def _cancel_later(self, store: QueueStore, attempt: Attempt) -> None:
        store.after_commit(lambda: send_cancel(self._registry, attempt, _AT_ONCE))


def _running(entry: Entry) -> IllegalTransition:
    why = "it has ended" if entry.state.ended else f"an agent has it; `batuta task abort {entry.task_id}` stops it"
    return IllegalTransition(
        f"entry {entry.id} is {entry.state.name} and cannot be taken out: {why}",
        resource=("entry", entry.id),
        entry_id=entry.id,
        state=entry.state.name,
    )
