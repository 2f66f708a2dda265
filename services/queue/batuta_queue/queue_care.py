"""Queues are changed, cleared and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from batuta_chassis.hub import Hub
from batuta_chassis.transactions import Transactor
from batuta_queue import signals
from batuta_queue.history_store import of_queue
from batuta_queue.load import Load
from batuta_queue.model import Queue, QueueCounts, Reason
from batuta_queue.queues import Queues, name_taken, not_found
from batuta_queue.removals import BATCH, NOT_RUNNING, Removals, removed
from batuta_queue.store import QueueNameExists, QueueStore
from batuta_rpc.errors import EtagMismatch, QueueNotEmpty


class QueueCare:
    """The use cases of `UpdateQueue`, `ClearQueue` and `DeleteQueue`."""

    def __init__(
        self, transactor: Transactor[QueueStore], queues: Queues, removals: Removals, load: Load, hub: Hub
    ) -> None:
        self._transactor = transactor
        self._queues = queues
        self._removals = removals
        self._load = load
        self._hub = hub

    def update(self, store: QueueStore, queue_id: str, etag: str, fields: Mapping[str, Any]) -> Queue:
        """Change fields of a queue in a running transaction.

        Raises `QueueNotFound`, `EtagMismatch`, `QueueNameTaken`.
        """
        queue = _meant(store, queue_id, etag)
        changed = replace(queue, **fields)
        if changed == queue:
            return queue
        changed = replace(changed, generation=queue.generation + 1)
        try:
            store.save_queue(changed)
        except QueueNameExists as error:
            raise name_taken(error.winner) from error
        store.after_commit(lambda: self._tell(queue_id))
        return changed

    async def clear(self, queue_id: str, limit: int, by: str) -> tuple[int, bool]:
        """Take out what does not run, up to `limit` entries. Returns how many, and whether there may be more.

        Raises `QueueNotFound`.
        """
        limit = min(limit or BATCH, BATCH)

        def use_case(store: QueueStore) -> int:
            queue = _meant(store, queue_id, "")
            return self._removals.take_out(store, queue_id, limit, removed(f"queue {queue.name!r} was cleared by {by}"))

        count = await self._transactor.write(use_case)
        return count, count == limit

    async def empty(self, queue_id: str, etag: str, by: str) -> int:
        """Take out what does not run, commit by commit, until less than one commit's worth is left; `delete` takes the
        rest. Returns how many. A queue that is not there is empty. Raises `EtagMismatch`."""

        def use_case(store: QueueStore) -> int:
            if store.queue(queue_id) is None:
                return 0
            queue = _meant(store, queue_id, etag)
            if len(store.live_entries(queue_id, None, BATCH, NOT_RUNNING)) < BATCH:
                return 0
            return self._removals.take_out(store, queue_id, BATCH, _deleted(queue, by))

        total = 0
        while count := await self._transactor.write(use_case):
            total += count
        return total

    def delete(self, store: QueueStore, queue_id: str, etag: str, force: bool, by: str) -> tuple[int, int]:
        """Remove a queue in a running transaction. Returns how many entries were taken out, and how many still run.

        Raises `QueueNotFound`, `EtagMismatch`, and `QueueNotEmpty` for one in which something waits or runs, unless
        it is forced.
        """
        queue = _meant(store, queue_id, etag)
        if not force and store.live_entries(queue_id, None, 1):
            raise _not_empty(queue, store.count_entries([queue_id]).get(queue_id, QueueCounts()))
        total = 0
        while count := self._removals.take_out(store, queue_id, BATCH, _deleted(queue, by)):
            total += count
        running = store.count_entries([queue_id]).get(queue_id, QueueCounts()).running
        store.drop_queue(queue_id)
        store.drop_history(of_queue(queue_id))
        store.after_commit(lambda: self._forget(queue_id))
        return total, running

    def _tell(self, queue_id: str) -> None:
        self._queues.forget(queue_id)
        self._hub.publish(signals.settings(queue_id))

    def _forget(self, queue_id: str) -> None:
        self._load.forget(queue_id)
        self._tell(queue_id)


def _meant(store: QueueStore, queue_id: str, etag: str) -> Queue:
    queue = store.queue(queue_id)
    if queue is None:
        raise not_found(store, queue_id)
    if etag and etag != queue.etag:
        raise EtagMismatch(
            f"queue {queue.name!r} has changed since it was read (etag {queue.etag}, not {etag}); read it again",
            resource=("queue", queue.id),
            queue_id=queue.id,
            etag=queue.etag,
        )
    return queue


def _deleted(queue: Queue, by: str) -> Reason:
    return removed(f"queue {queue.name!r} was deleted by {by}")


def _not_empty(queue: Queue, counts: QueueCounts) -> QueueNotEmpty:
    return QueueNotEmpty(
        f"in queue {queue.name!r} {counts.waiting} entries wait and {counts.running} run; let it run empty, or delete "
        "it with force (`--force`): what waits is then taken out, and its tasks are drafts again",
        resource=("queue", queue.id),
        queue_id=queue.id,
        waiting=counts.waiting,
        running=counts.running,
    )
