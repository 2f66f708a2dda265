"""Queues by id and by name."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from batuta_chassis.transactions import Transactor
from batuta_queue.model import LeasePolicy, Queue, QueueCounts
from batuta_queue.numbers import Numbers
from batuta_queue.store import QueueNameExists, QueueStore
from batuta_rpc.clock import Clock
from batuta_rpc.errors import QueueNameTaken, QueueNotFound, RateLimited
from batuta_rpc.ids import Ids

FIRST_QUEUES = ("default", "services")
_LISTED = 20


def normal(name: str) -> str:
    """A name as it is stored and compared: NFC, so that one text typed in two ways is one name."""
    return unicodedata.normalize("NFC", name)


class Queues:
    """The use cases of queues. Queues are never renamed or deleted in this release, so name and policy are kept once
    they were read."""

    def __init__(self, transactor: Transactor[QueueStore], numbers: Numbers, clock: Clock, ids: Ids) -> None:
        self._transactor = transactor
        self._numbers = numbers
        self._clock = clock
        self._ids = ids
        self._known: dict[str, Queue] = {}

    def prepare(self, store: QueueStore) -> None:
        """Make the queues that exist from the first start."""
        for name in FIRST_QUEUES:
            if store.queue_by_name(name) is None:
                store.add_queue(self._new(name, LeasePolicy.STRICT))

    def add(self, store: QueueStore, name: str, policy: LeasePolicy) -> Queue:
        """Make a queue in a running transaction. Raises `QueueNameTaken`."""
        queue = self._new(normal(name), policy or LeasePolicy.STRICT)
        try:
            store.add_queue(queue)
        except QueueNameExists as error:
            winner = error.winner
            raise QueueNameTaken(
                f"there is a queue named {winner.name!r} already (id {winner.id}); use it, or choose another name",
                resource=("queue", winner.id),
                display_name=winner.name,
                queue_id=winner.id,
            ) from error
        if len(store.queues("", self._numbers.max_queues + 1)) > self._numbers.max_queues:
            raise RateLimited(f"there are {self._numbers.max_queues} queues already, and no more may be made")
        return queue

    async def get(self, queue_id: str) -> Queue:
        """A queue by id, its pause perhaps an old one. Raises `QueueNotFound`, which lists those that exist."""
        known = self._known.get(queue_id)
        return await self.now(queue_id) if known is None else known

    async def now(self, queue_id: str) -> Queue:
        """A queue by id as it is stored. Raises `QueueNotFound`, which lists those that exist."""
        return await self._find(lambda store: store.queue(queue_id), queue_id)

    async def by_name(self, name: str) -> Queue:
        """A queue by name. Raises `QueueNotFound`, which lists those that exist."""
        return await self._find(lambda store: store.queue_by_name(normal(name)), name)

    async def names(self, queue_ids: Sequence[str]) -> list[str]:
        """Their names, in the same order; empty for one that is gone."""
        names: list[str] = []
        for queue_id in queue_ids:
            try:
                names.append((await self.get(queue_id)).name)
            except QueueNotFound:
                names.append("")
        return names

    async def page(self, after_name: str, limit: int) -> list[Queue]:
        """Queues by name, those after `after_name`."""
        return await self._transactor.read(lambda store: store.queues(after_name, limit))

    async def counts(self, queue_ids: Sequence[str]) -> dict[str, QueueCounts]:
        """Counts of each queue, zeros included."""
        found = await self._transactor.read(lambda store: store.count_entries(queue_ids))
        return {queue_id: found.get(queue_id, QueueCounts()) for queue_id in queue_ids}

    def _new(self, name: str, policy: LeasePolicy) -> Queue:
        return Queue(self._ids.new_id(), name, policy, 1, self._clock.unix_millis())

    async def _find(self, look: Callable[[QueueStore], Queue | None], wanted: str) -> Queue:
        def query(store: QueueStore) -> tuple[Queue | None, list[Queue]]:
            found = look(store)
            return found, [] if found is not None else store.queues("", _LISTED + 1)

        found, others = await self._transactor.read(query)
        if found is None:
            raise _not_found(wanted, others)
        self._known[found.id] = found
        return found


def _not_found(wanted: str, others: Sequence[Queue]) -> QueueNotFound:
    names = [queue.name for queue in others[:_LISTED]]
    listed = ", ".join(names) + (", …" if len(others) > _LISTED else "")
    return QueueNotFound(
        f"there is no queue {wanted!r}; those that exist: {listed or 'none'}. "
        "Check the spelling, or make it with `batuta queue create`",
        resource=("queue", wanted),
        queue=wanted,
        queues=listed,
    )
