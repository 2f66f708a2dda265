"""Queues as tasks name them: looked up at the queue service, and remembered for a moment.

A change of a queue that passes through this API is heard of at once, in every process where a bus carries it; one made
elsewhere counts after that moment. While the queue service is away, what was known before is believed.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batuta_api import topics
from batuta_proto.queues import v1 as queues
from batuta_rpc.clock import Clock
from batuta_rpc.errors import DeadlineExceeded, QueueNameTaken, QueueNotFound, Unavailable, UpstreamUnavailable
from batuta_rpc.ids import Ids

if TYPE_CHECKING:
    import grpc.aio

_DEADLINE = 2.0
_REMEMBERED = 2.0
"""Seconds: enough that many enqueues in a row ask once."""
_LIMIT = 1024


@dataclass(frozen=True)
class Queue:
    """A queue that exists."""

    id: str
    name: str


class QueueNames:
    """Answers which queue is meant."""

    def __init__(self, channel: grpc.aio.Channel, clock: Clock, ids: Ids) -> None:
        self._stub = queues.QueueServiceStub(channel)
        self._clock = clock
        self._ids = ids
        self._known: OrderedDict[tuple[str, str], tuple[Queue, float]] = OrderedDict()
        self._changes = 0

    async def find(self, queue_id: str, name: str, create: bool) -> Queue:
        """The queue of that id or that name; with `create`, one of that name is made when it is missing.

        Raises `QueueNotFound` (which lists the queues), `FieldViolation`, `UpstreamUnavailable`.
        """
        known = self._known.get((queue_id, name))
        if known is not None and self._clock.monotonic() < known[1]:
            return known[0]
        changes, asked = self._changes, self._clock.monotonic()
        try:
            found = await self._look_up(queue_id, name, create and not queue_id)
        except (Unavailable, DeadlineExceeded) as error:
            if known is not None and changes == self._changes:
                self._remember((queue_id, name), known[0], self._clock.monotonic() + _REMEMBERED)
                return known[0]
            raise UpstreamUnavailable(
                f"the queue service does not answer, so the queue cannot be looked up; try again ({error.message})",
                retry_delay=1.0,
                service="queue",
            ) from error
        if changes == self._changes:  # else it may be what was before the change
            self._remember((queue_id, name), found, asked + _REMEMBERED)
        return found

    def forget(self, queue_id: str) -> None:
        """The queue service does not know that queue any more."""
        for key in [key for key, (queue, _) in self._known.items() if queue.id == queue_id]:
            del self._known[key]

    def forget_all(self) -> None:
        """Some queue has changed its name, or is gone."""
        self._changes += 1
        self._known.clear()

    def hear(self, topic: str) -> None:
        """Another process of the API tells what it knows."""
        if topic == topics.QUEUES:
            self.forget_all()

    async def _look_up(self, queue_id: str, name: str, create: bool) -> Queue:
        try:
            return await self._get(queue_id, name)
        except QueueNotFound:
            if not create:
                raise
        request = queues.CreateQueueRequest(display_name=name, request_id=self._ids.request_id())
        try:
            made = await self._stub.CreateQueue(request, timeout=_DEADLINE)
        except QueueNameTaken:  # somebody else made it in between
            return await self._get(queue_id, name)
        return Queue(made.queue.id, made.queue.display_name)

    async def _get(self, queue_id: str, name: str) -> Queue:
        request = queues.GetQueueRequest(queue_id=queue_id) if queue_id else queues.GetQueueRequest(display_name=name)
        found = (await self._stub.GetQueue(request, timeout=_DEADLINE)).queue
        return Queue(found.id, found.display_name)

    def _remember(self, key: tuple[str, str], queue: Queue, until: float) -> None:
        self._known[key] = (queue, until)
        self._known.move_to_end(key)
        while len(self._known) > _LIMIT:
            self._known.popitem(last=False)
