"""Entries are put elsewhere: in their queue, or into another one."""

from __future__ import annotations

from batuta_chassis.transactions import Transactor
from batuta_proto.queues import v1 as queues
from batuta_queue.ledger import Aftermath, Ledger
from batuta_queue.load import Load
from batuta_queue.model import Entry
from batuta_queue.queues import Queues, not_found
from batuta_queue.store import QueueStore
from batuta_queue.submit import no_entry
from batuta_queue.transitions import move
from batuta_rpc.clock import Clock
from batuta_rpc.errors import FieldViolation, IllegalTransition


class Mover:
    """The use case of `MoveEntry`."""

    def __init__(
        self, transactor: Transactor[QueueStore], queues: Queues, aftermath: Aftermath, load: Load, clock: Clock
    ) -> None:
        self._transactor = transactor
        self._queues = queues
        self._aftermath = aftermath
        self._load = load
        self._clock = clock

    async def move(self, request: queues.MoveEntryRequest) -> Entry:
        """Put an entry to another place. Returns it as it stands then.

        Raises `EntryNotFound`, `QueueNotFound`, `QueueFull`, `FieldViolation` for an entry to stand before that is not
        in the queue, and `IllegalTransition`.
        """
        if request.queue_id:
            queue = await self._queues.get(request.queue_id)
            known = await self._transactor.read(lambda store: store.entry(request.entry_id))
            if known is not None and known.queue_id != queue.id:
                self._load.admit(queue)
        return await self._transactor.write(lambda store: self._move(store, request))

    def _move(self, store: QueueStore, request: queues.MoveEntryRequest) -> Entry:
        entry = store.entry(request.entry_id)
        if entry is None or not entry.task_id:
            raise no_entry(request.entry_id)
        queue_id = request.queue_id or entry.queue_id
        # Before room is made, so that a refusal is the same whatever the place.
        if move(entry, queue_id, entry.priority, None, 0) is None:
            raise _busy(entry)
        if request.queue_id and store.queue(queue_id) is None:
            raise not_found(store, queue_id)  # it was deleted a moment ago
        priority, position = _place(store, request, entry, queue_id)
        step = move(entry, queue_id, priority, position, self._clock.unix_millis())
        assert step is not None
        ledger = Ledger(store, self._aftermath)
        ledger.record(step)
        return ledger.write()[0].entry


def _place(store: QueueStore, request: queues.MoveEntryRequest, entry: Entry, queue_id: str) -> tuple[int, int | None]:
    """Priority and position that are asked for; None is behind all others of the priority."""
    kind = request.WhichOneof("place")
    if kind == "first":
        first = store.live_entries(queue_id, None, 1)
        return (first[0].priority, first[0].position - 1) if first else (entry.priority, None)
    if kind == "last":
        last = store.last_entry(queue_id)
        return (entry.priority if last is None else last.priority), None
    if kind == "before_entry_id":
        other = store.entry(request.before_entry_id)
        if other is None or other.queue_id != queue_id or other.state.ended:
            problem = "is no entry of that queue that waits or runs; `batuta queue show NAME` lists them"
            raise FieldViolation(
                f"before_entry_id {problem}", field_violations=[("before_entry_id", problem)], field="before_entry_id"
            )
        if other.id == entry.id:
            return entry.priority, entry.position
        return other.priority, store.make_room(other)
    return entry.priority, None


def _busy(entry: Entry) -> IllegalTransition:
    state = entry.state.name
    why = "it has ended" if entry.state.ended else "an agent has it"
    return IllegalTransition(
        f"entry {entry.id} is {state} and cannot be moved: {why}; only what is WAITING or HELD can",
        resource=("entry", entry.id),
        entry_id=entry.id,
        state=state,
    )
