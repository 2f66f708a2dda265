"""Queues are paused and resumed."""

from __future__ import annotations

from batuta_chassis.hub import Hub
from batuta_chassis.transactions import Transactor
from batuta_queue import signals
from batuta_queue.board import Board
from batuta_queue.model import Pause, Queue
from batuta_queue.queues import Queues
from batuta_queue.store import QueueStore
from batuta_rpc.clock import Clock


class Pauses:
    """The use cases of `PauseQueue` and `ResumeQueue`. Claims read the pause where they read the entries."""

    def __init__(
        self, transactor: Transactor[QueueStore], queues: Queues, board: Board, hub: Hub, clock: Clock
    ) -> None:
        self._transactor = transactor
        self._queues = queues
        self._board = board
        self._hub = hub
        self._clock = clock

    async def pause(self, queue_id: str, by: str) -> Queue:
        """Have nothing of a queue offered; who paused it first is remembered. Raises `QueueNotFound`."""
        pause = Pause(self._clock.unix_millis(), by[:256])
        return await self._change(queue_id, pause)

    async def resume(self, queue_id: str) -> Queue:
        """Have entries of a queue offered again. Raises `QueueNotFound`."""
        return await self._change(queue_id, None)

    async def _change(self, queue_id: str, pause: Pause | None) -> Queue:
        await self._transactor.write(lambda store: self._set(store, queue_id, pause))
        return await self._queues.now(queue_id)

    def _set(self, store: QueueStore, queue_id: str, pause: Pause | None) -> None:
        queue = store.queue(queue_id)
        if queue is None or (queue.pause is None) == (pause is None):
            return
        store.pause_queue(queue_id, pause)
        if pause is None:
            store.after_commit(lambda: self._wake(queue_id))

    def _wake(self, queue_id: str) -> None:
        self._board.mark(queue_id)
        self._hub.publish(signals.queue(queue_id))
