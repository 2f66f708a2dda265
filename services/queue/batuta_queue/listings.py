"""The entries of a queue, page by page, each with its place."""

from __future__ import annotations

from batuta_chassis.transactions import Transactor
from batuta_proto.queues import v1 as queues
from batuta_queue.convert import entry_message
from batuta_queue.model import EntryState
from batuta_queue.pages import make_token, page_size, read_token
from batuta_queue.queues import Queues
from batuta_queue.store import QueueStore
from batuta_rpc.clock import Clock


class Listings:
    """The use case of `ListEntries`."""

    def __init__(self, transactor: Transactor[QueueStore], queues: Queues, clock: Clock) -> None:
        self._transactor = transactor
        self._queues = queues
        self._clock = clock

    async def page(self, request: queues.ListEntriesRequest) -> queues.ListEntriesResponse:
        """One page. The token tells how many wait before the next one, so that no page is counted twice.

        Raises `QueueNotFound` and `FieldViolation`.
        """
        await self._queues.get(request.queue_id)
        states = [EntryState(state) for state in request.states]
        size, question = page_size(request.page_size), f"entries:{request.queue_id}:{sorted(states)}"
        key = read_token(question, request.page_token, (int, int, int))
        after, place = (None, 0) if key is None else ((key[0], key[1]), key[2])
        found = await self._transactor.read(lambda store: store.live_entries(request.queue_id, after, size + 1, states))
        answer, now = queues.ListEntriesResponse(), self._clock.unix_millis()
        for entry in found[:size]:
            waits = entry.state is EntryState.WAITING
            place += waits
            answer.entries.append(entry_message(entry, now, place if waits else 0))
        if len(found) > size:
            last = found[size - 1]
            answer.next_page_token = make_token(question, [last.priority, last.position, place])
        return answer
