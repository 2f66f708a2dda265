"""Queues by id and by name."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace

from batuta_chassis.transactions import Transactor
from batuta_queue import signals
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
    """The use cases of queues. What was read is kept until a change of it is heard of; beside other processes, whose
    word may be lost, for `trusted` seconds at most. What must be true is read again in the transaction that needs it.
    """

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        numbers: Numbers,
        clock: Clock,
        ids: Ids,
        trusted: float | None = None,
    ) -> None:
        self._transactor = transactor
        self._numbers = numbers
        self._clock = clock
        self._ids = ids
        self._trusted = float("inf") if trusted is None else trusted
        self._known: dict[str, tuple[Queue, float]] = {}
        self._changes = 0

    def prepare(self, store: QueueStore) -> None:
        """Make the queues that exist from the first start."""
        if not store.queues("", 1):
            for name in FIRST_QUEUES:
                store.add_queue(self._new(name, LeasePolicy.STRICT))

    def hear(self, topic: str) -> None:
        """Another process tells what it has changed."""
        queue_id = signals.settings_of(topic)
        if queue_id is not None:
            self.forget(queue_id)

    def forget(self, queue_id: str) -> None:
        """The queue has changed or is gone."""
        self._changes += 1
        self._known.pop(queue_id, None)

    def add(self, store: QueueStore, name: str, policy: LeasePolicy, description: str = "") -> Queue:
        """Make a queue in a running transaction. Raises `QueueNameTaken`."""
        queue = replace(self._new(normal(name), policy or LeasePolicy.STRICT), description=description)
        try:
            store.add_queue(queue)
        except QueueNameExists as error:
            raise name_taken(error.winner) from error
        if len(store.queues("", self._numbers.max_queues + 1)) > self._numbers.max_queues:
            raise RateLimited(f"there are {self._numbers.max_queues} queues already, and no more may be made")
        return queue

    async def get(self, queue_id: str) -> Queue:
        """A queue by id, its pause perhaps an old one. Raises `QueueNotFound`, which lists those that exist."""
        known = self._known.get(queue_id)
        if known is not None and self._clock.monotonic() < known[1]:
            return known[0]
        return await self.now(queue_id)

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
        def query(store: QueueStore) -> Queue:
            found = look(store)
            if found is None:
                raise not_found(store, wanted)
            return found

        changes, asked = self._changes, self._clock.monotonic()
        found = await self._transactor.read(query)
        if changes == self._changes:  # else it may be what was before the change
            self._known[found.id] = (found, asked + self._trusted)
        return found


def name_taken(winner: Queue) -> QueueNameTaken:
    """The error for a name that another queue has."""
    return QueueNameTaken(
        f"there is a queue named {winner.name!r} already (id {winner.id}); use it, or choose another name",
        resource=("queue", winner.id),
        display_name=winner.name,
        queue_id=winner.id,
    )


def not_found(store: QueueStore, wanted: str) -> QueueNotFound:
    """The error for a queue that is not there, by its id or name. It lists those that exist."""
    others = store.queues("", _LISTED + 1)
    names = [queue.name for queue in others[:_LISTED]]
    listed = ", ".join(names) + (", …" if len(others) > _LISTED else "")
    return QueueNotFound(
        f"there is no queue {wanted!r}; those that exist: {listed or 'none'}. "
        "Check the spelling, or make it with `batuta queue create`",
        resource=("queue", wanted),
        queue=wanted,
        queues=listed,
    )
