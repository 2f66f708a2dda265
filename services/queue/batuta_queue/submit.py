"""Tasks come in and are taken out. A submit offers in its own commit when an agent waits."""

from __future__ import annotations

import asyncio

from batuta_chassis.transactions import Transactor
from batuta_proto.queues import v1 as queues
from batuta_queue.board import Board
from batuta_queue.convert import cancel_of, housed, new_entry
from batuta_queue.convert_session import cancel_message
from batuta_queue.dispatch import Dispatcher, Offer, Prepare, claim
from batuta_queue.ledger import Aftermath, Ledger
from batuta_queue.load import Load
from batuta_queue.model import NO_PAYLOAD, Attempt, Cancel, Entry, EntryState, Payload, Ref
from batuta_queue.numbers import Numbers
from batuta_queue.queues import Queues, not_found
from batuta_queue.sessions import Session, SessionRegistry
from batuta_queue.store import QueueStore
from batuta_queue.transitions import enter, next_attempt, offer, release, withdraw
from batuta_rpc.clock import Clock
from batuta_rpc.errors import EntryNotFound, QueueFull, QueueNotFound, TooLarge


class Submitter:
    """The use cases of entries."""

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        queues: Queues,
        dispatcher: Dispatcher,
        board: Board,
        registry: SessionRegistry,
        aftermath: Aftermath,
        load: Load,
        numbers: Numbers,
        clock: Clock,
    ) -> None:
        self._transactor = transactor
        self._queues = queues
        self._dispatcher = dispatcher
        self._board = board
        self._registry = registry
        self._aftermath = aftermath
        self._load = load
        self._numbers = numbers
        self._clock = clock

    async def submit(self, request: queues.SubmitEntryRequest) -> Entry:
        """Store an entry, and offer it at once if an agent waits. The same id again changes nothing.

        Raises `QueueNotFound`, `TooLarge` and `QueueFull`.
        """
        if len(request.payload) > self._numbers.max_payload_bytes:
            raise TooLarge(
                f"the payload has {len(request.payload)} bytes and an entry's may have "
                f"{self._numbers.max_payload_bytes} (max_payload_bytes); leave it out, and the agent fetches the task",
                limit=self._numbers.max_payload_bytes,
            )
        try:
            self._load.admit(await self._queues.get(request.envelope.queue_id))
        except (QueueFull, QueueNotFound):
            # It may be one of those that fill the queue, or have left it since: its first answer was lost.
            known = await self._transactor.read(lambda store: store.entry(request.entry_id))
            if known is None:
                raise
            return known
        entry, payload = new_entry(request, self._clock.unix_millis())
        # A caller who leaves must not leave a reserved credit behind.
        return await asyncio.shield(asyncio.ensure_future(self._submit(entry, payload)))

    async def withdraw(self, request: queues.WithdrawEntryRequest) -> Entry | None:
        """Take an entry out, or ask its agent to stop it. None: the id was unknown, and stays withdrawn for ever."""
        cancel = cancel_of(request, self._numbers.cancel_grace)
        return await self._transactor.write(lambda store: self._take_out(store, request.entry_id, cancel))

    async def release(self, entry_id: str) -> Entry:
        """Let a held entry go again; any other stays as it is. Raises `EntryNotFound`."""
        return await self._transactor.write(lambda store: self._let_go(store, entry_id))

    async def _submit(self, entry: Entry, payload: Payload) -> Entry:
        session = self._dispatcher.reserve(entry.queue_id)
        prepare = self._dispatcher.preparer()
        try:
            return await self._transactor.write(lambda store: self._put_in(store, entry, payload, session, prepare))
        finally:
            if session is not None:
                self._board.release(session, 1)

    def _put_in(
        self, store: QueueStore, entry: Entry, payload: Payload, session: Session | None, prepare: Prepare
    ) -> Entry:
        outlook = store.outlook(entry)
        if outlook.known:
            known = store.entry(entry.id)
            assert known is not None
            return known
        if outlook.policy is None:
            raise not_found(store, entry.queue_id)  # it was deleted a moment ago
        entry = housed(entry, outlook.policy)
        ledger = Ledger(store, self._aftermath)
        ledger.record(enter(entry), payload)
        if session is None or outlook.paused:
            return ledger.write()[0].entry
        if outlook.others_wait:
            # Others came first: the agent gets the first of all, this one included.
            stored = ledger.write()[0].entry
            offers = list(claim(store, ledger, [(session, 1)], entry.enqueue_millis).offers)
            ledger.write()
        else:
            number = next_attempt(entry, outlook.last_attempt)
            step = offer(entry, session.agent.holder, number, entry.enqueue_millis)
            assert step.attempt is not None
            ledger.record(step)
            stored = ledger.write()[-1].entry
            offers = [Offer(session, stored, step.attempt, payload)]
        if offers:
            prepare(offers)
            store.after_commit(lambda: self._dispatcher.deliver(offers))
        return next((each.entry for each in offers if each.entry.id == entry.id), stored)

    def _take_out(self, store: QueueStore, entry_id: str, cancel: Cancel) -> Entry | None:
        now = self._clock.unix_millis()
        entry = store.entry(entry_id)
        if entry is None:
            # A tombstone: a submit of this id that is still on its way finds it.
            store.add_entry(Entry(entry_id, "", "", EntryState.WITHDRAWN, now, end_millis=now), NO_PAYLOAD)
            return None
        if not entry.task_id:
            return None
        found = store.attempt(Ref(entry.task_id, entry.attempt)) if _has_attempt(entry) else None
        attempt = None if found is None else found[1]
        step = withdraw(entry, attempt, cancel, now)
        if step is not None:
            ledger = Ledger(store, self._aftermath)
            ledger.record(step)
            ledger.write()
            entry = step.entry
        if attempt is not None:
            store.after_commit(lambda: send_cancel(self._registry, attempt, cancel))
        return entry

    def _let_go(self, store: QueueStore, entry_id: str) -> Entry:
        entry = store.entry(entry_id)
        if entry is None or not entry.task_id:
            raise no_entry(entry_id)
        step = release(entry, self._clock.unix_millis())
        if step is None:
            return entry
        ledger = Ledger(store, self._aftermath)
        ledger.record(step)
        return ledger.write()[0].entry


def send_cancel(registry: SessionRegistry, attempt: Attempt, cancel: Cancel) -> None:
    """Tell the agent that has an attempt to stop it, if it is connected here."""
    session = registry.of_journal(attempt.holder.journal_id)
    if session is not None:
        session.outgoing.put(cancel_message(attempt.ref, cancel))


def no_entry(entry_id: str) -> EntryNotFound:
    """There is no such entry."""
    return EntryNotFound(
        f"there is no entry {entry_id!r}; `batuta queue show NAME` lists those of a queue", entry_id=entry_id
    )


def _has_attempt(entry: Entry) -> bool:
    return entry.state in (EntryState.OFFERED, EntryState.RUNNING)
