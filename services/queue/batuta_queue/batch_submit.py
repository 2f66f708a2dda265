"""Many tasks come in at once: one look for those that are known, one commit, and the dispatcher takes it from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import grpc

from batuta_chassis.transactions import Transactor
from batuta_proto.queues import v1 as queues
from batuta_queue.convert import housed, new_entry
from batuta_queue.ledger import Aftermath
from batuta_queue.load import Load
from batuta_queue.model import AttemptPhase, Entry, EntryState, Event, Payload, Queue
from batuta_queue.queues import Queues, not_found
from batuta_queue.store import QueueStore
from batuta_queue.transitions import enter
from batuta_rpc.clock import Clock
from batuta_rpc.errors import QueueFull, QueueNotFound, RpcError, to_status

_OK = queues.SubmitResult(state=queues.ENTRY_STATE_WAITING)
_OK.status.code = grpc.StatusCode.OK.value[0]


class BatchSubmitter:
    """The use case of `BatchSubmitEntries`."""

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        queues: Queues,
        aftermath: Aftermath,
        load: Load,
        clock: Clock,
    ) -> None:
        self._transactor = transactor
        self._queues = queues
        self._aftermath = aftermath
        self._load = load
        self._clock = clock

    async def submit(self, requests: Sequence[queues.SubmitEntryRequest]) -> list[queues.SubmitResult]:
        """Store entries in one commit. Returns what became of each, in order; one that is refused hinders no other."""
        now = self._clock.unix_millis()
        places = await self._places(requests)
        wanted: dict[str, tuple[Entry, Payload]] = {}
        for request in requests:
            place = places[request.envelope.queue_id]
            if isinstance(place, Queue):
                wanted.setdefault(request.entry_id, new_entry(request, now))
        asked = [request.entry_id for request in requests]
        known = await self._transactor.write(lambda store: self._put_in(store, asked, wanted, places))
        return [self._result(request, places, known) for request in requests]

    async def _places(self, requests: Sequence[queues.SubmitEntryRequest]) -> dict[str, Queue | RpcError]:
        """Each queue that is named, or why nothing may go there."""
        places: dict[str, Queue | RpcError] = {}
        for request in requests:
            queue_id = request.envelope.queue_id
            if queue_id not in places:
                try:
                    queue = await self._queues.get(queue_id)
                    self._load.admit(queue)
                    places[queue_id] = queue
                except (QueueNotFound, QueueFull) as error:
                    places[queue_id] = error
        return places

    def _put_in(
        self,
        store: QueueStore,
        asked: Sequence[str],
        wanted: Mapping[str, tuple[Entry, Payload]],
        places: dict[str, Queue | RpcError],
    ) -> Mapping[str, EntryState]:
        """Store those of `wanted` that are new. Returns the states of all of `asked` that were there before. Of
        `places` those that are gone by now become errors."""
        known = store.entry_states(asked)
        new: list[tuple[Entry, Payload]] = []
        for queue_id in {entry.queue_id for entry, _ in wanted.values()}:
            places[queue_id] = store.queue(queue_id) or not_found(store, queue_id)
        for entry_id, (entry, payload) in wanted.items():
            place = places[entry.queue_id]
            if entry_id not in known and isinstance(place, Queue):
                new.append((housed(entry, place.lease_policy), payload))
        if not new:
            return known
        position = store.next_positions(len(new))
        store.add_entries(new, position)
        store.add_events([_event(entry, position + index) for index, (entry, _) in enumerate(new)])
        steps = [enter(entry) for entry, _ in new]
        store.after_commit(lambda: self._aftermath(steps))
        return known

    @staticmethod
    def _result(
        request: queues.SubmitEntryRequest, places: Mapping[str, Queue | RpcError], known: Mapping[str, EntryState]
    ) -> queues.SubmitResult:
        state = known.get(request.entry_id)
        if state is not None:
            return queues.SubmitResult(status=_OK.status, state=cast("queues.EntryState", int(state)))
        place = places[request.envelope.queue_id]
        return _OK if isinstance(place, Queue) else queues.SubmitResult(status=to_status(place))


def _event(entry: Entry, position: int) -> Event:
    return Event(
        position,
        entry.id,
        entry.task_id,
        entry.state,
        0,
        AttemptPhase.UNSPECIFIED,
        entry.enqueue_millis,
        queue_id=entry.queue_id,
    )
