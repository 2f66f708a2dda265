"""Queues as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from batuta_queue.model import EntryState, LeasePolicy, Pause, Queue, QueueCounts
from batuta_queue.store import QueueNameExists
from batuta_queue.tables import entries, queues

_ENDED: ColumnElement[int] = literal_column(str(int(EntryState.DONE)))
_BY_ID = select(queues).where(queues.c.id == bindparam("id"))
_BY_NAME = select(queues).where(queues.c.name == bindparam("name"))
_PAGE = select(queues).where(queues.c.name > bindparam("after")).order_by(queues.c.name).limit(bindparam("count"))
_COUNTS = (
    select(entries.c.queue_id, entries.c.state, func.count())
    .where(entries.c.state < _ENDED)
    .group_by(entries.c.queue_id, entries.c.state)
)
_COUNTS_OF = _COUNTS.where(entries.c.queue_id.in_(bindparam("ids", expanding=True)))


class QueueRows:
    """The part of the store that keeps queues."""

    _connection: Connection

    def add_queue(self, queue: Queue) -> None:
        """See `QueueStore.add_queue`."""
        winner = self.queue_by_name(queue.name)
        if winner is not None:
            raise QueueNameExists(winner)
        values = {
            "id": queue.id,
            "name": queue.name,
            "lease_policy": int(queue.lease_policy),
            "generation": queue.generation,
            "create_millis": queue.create_millis,
            "description": queue.description,
        }
        self._connection.execute(insert(queues), values)

    def queue(self, queue_id: str) -> Queue | None:
        """See `QueueStore.queue`."""
        row = self._connection.execute(_BY_ID, {"id": queue_id}).first()
        return None if row is None else _queue(row)

    def queue_by_name(self, name: str) -> Queue | None:
        """See `QueueStore.queue_by_name`."""
        row = self._connection.execute(_BY_NAME, {"name": name}).first()
        return None if row is None else _queue(row)

    def queues(self, after_name: str, limit: int) -> list[Queue]:
        """See `QueueStore.queues`."""
        return [_queue(row) for row in self._connection.execute(_PAGE, {"after": after_name, "count": limit})]

    def save_queue(self, queue: Queue) -> None:
        """See `QueueStore.save_queue`."""
        winner = self.queue_by_name(queue.name)
        if winner is not None and winner.id != queue.id:
            raise QueueNameExists(winner)
        values = {
            "name": queue.name,
            "lease_policy": int(queue.lease_policy),
            "generation": queue.generation,
            "description": queue.description,
        }
        self._connection.execute(update(queues).where(queues.c.id == queue.id).values(values))

    def drop_queue(self, queue_id: str) -> None:
        """See `QueueStore.drop_queue`."""
        left = update(entries).where(entries.c.queue_id == queue_id, entries.c.state < _ENDED).values(queue_id="")
        self._connection.execute(left)
        self._connection.execute(delete(queues).where(queues.c.id == queue_id))

    def pause_queue(self, queue_id: str, pause: Pause | None) -> None:
        """See `QueueStore.pause_queue`."""
        millis, by = (None, None) if pause is None else (pause.millis, pause.by)
        change = update(queues).where(queues.c.id == queue_id).values(pause_millis=millis, paused_by=by)
        self._connection.execute(change)

    def count_entries(self, queue_ids: Sequence[str] | None) -> Mapping[str, QueueCounts]:
        """See `QueueStore.count_entries`."""
        found: dict[str, QueueCounts] = {}
        if queue_ids is None:
            rows = self._connection.execute(_COUNTS.where(entries.c.queue_id != ""))
        else:
            rows = self._connection.execute(_COUNTS_OF, {"ids": list(queue_ids)})
        for queue_id, state, count in rows:
            found[queue_id] = found.get(queue_id, QueueCounts()).plus(EntryState(state), count)
        return found


def _queue(row: Row[Any]) -> Queue:
    pause = None if row.pause_millis is None else Pause(row.pause_millis, row.paused_by)
    return Queue(
        row.id, row.name, LeasePolicy(row.lease_policy), row.generation, row.create_millis, pause, row.description
    )
