"""Brings what the outbox holds to the queue service."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc

from batuta_api import topics
from batuta_api.tasks import queueing
from batuta_api.tasks.link import Link
from batuta_api.tasks.queue_names import QueueNames
from batuta_api.work import Works
from batuta_chassis.outbox import OutboxRow
from batuta_proto.queues import v1 as queues
from batuta_rpc import trace
from batuta_rpc.clock import Clock
from batuta_rpc.errors import QueueFull, QueueNotFound, RpcError, Unavailable, UpstreamUnavailable
from batuta_rpc.ids import Ids
from batuta_rpc.trace import NO_TRACER, Span, Tracer

if TYPE_CHECKING:
    import grpc.aio

_DEADLINE = 10.0
_PATIENCE = 60.0
"""Seconds to wait for the queue service before the outbox counts a try as failed."""
_TRIES = 3


class Delivery:
    """What `OutboxSender` is given: delivers one message, and hears of those that are refused for good."""

    def __init__(
        self,
        works: Works,
        channel: grpc.aio.Channel,
        link: Link,
        names: QueueNames,
        clock: Clock,
        ids: Ids,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._ids = ids
        self._tracer = tracer
        self._works = works
        self._link = link
        self._stub = queues.QueueServiceStub(channel)
        self._names = names
        self._clock = clock

    async def deliver(self, row: OutboxRow) -> None:
        """Hand one message over. The key is the task's id. Raises `RpcError` when it did not arrive.

        While the queue service is away it waits for the moment it is back, rather than for the end of a back-off.
        """
        for _ in range(_TRIES):
            try:
                return await self._bring(row)
            except Unavailable:
                if self._link.is_up or not await self._link.wait(_PATIENCE):
                    raise
        return await self._bring(row)

    async def _bring(self, row: OutboxRow) -> None:
        if row.topic == topics.WITHDRAW:
            await self._withdraw(row)
            return
        asked = queues.SubmitEntryRequest.FromString(row.payload)
        with self._traced(asked):
            try:
                await self._stub.SubmitEntry(asked, timeout=_DEADLINE)
            except QueueFull as error:
                # Final, though the code allows waiting: a task that waits for room in a queue waits unseen.
                code = grpc.StatusCode.FAILED_PRECONDITION
                raise RpcError.for_reason(error.reason, error.message, code=code) from error

    @contextmanager
    def _traced(self, asked: queues.SubmitEntryRequest) -> Generator[None]:
        """The submission belongs to the trace of the call that caused it, however long ago that was."""
        parent = asked.traceparent
        if not (parent and self._tracer.wants(parent)):
            with trace.using(parent):
                yield
            return
        own, start, failed = trace.child(parent, self._ids, sampled=True), self._clock.unix_nanos(), ""
        try:
            with trace.using(own):
                yield
        except RpcError as error:
            failed = error.reason
            raise
        finally:
            told = {"batuta.task": asked.envelope.task_id, "batuta.entry": asked.entry_id}
            now = self._clock.unix_nanos()
            self._tracer.add(Span("outbox submit", own, parent, start, now, "producer", failed, told))

    async def refused(self, row: OutboxRow, error: RpcError) -> None:
        """The task of a submission that is refused for good has failed; an entry nobody knows needs no withdrawal.

        Where the queue service broke on a submission, nobody knows whether it has the entry: it is told to drop it.
        """
        now = self._clock.now()
        if row.topic == topics.WITHDRAW:
            entry_id = queues.WithdrawEntryRequest.FromString(row.payload).entry_id
            await self._works.write(lambda work: queueing.settle(work, row.ordering_key, entry_id, 0, now))
            return
        asked = queues.SubmitEntryRequest.FromString(row.payload)
        if isinstance(error, QueueNotFound):
            self._names.forget(asked.envelope.queue_id)
        text = f"the queue service did not take the task: {error.message}"
        await self._works.write(
            lambda work: queueing.refuse(
                work, row.ordering_key, asked.entry_id, error.reason, text, now, unsure=_is_fault(error)
            )
        )

    async def _withdraw(self, row: OutboxRow) -> None:
        asked = queues.WithdrawEntryRequest.FromString(row.payload)
        try:
            answer = await self._stub.WithdrawEntry(asked, timeout=_DEADLINE)
        except RpcError as error:
            if not _is_fault(error):
                raise
            # Not counted as a fault of this message: an abort was promised, and is tried until it has arrived.
            raise UpstreamUnavailable(
                f"the queue service breaks on the withdrawal of {asked.entry_id}: {error.message}", service="queue"
            ) from error
        now, attempt = self._clock.now(), answer.entry.attempt
        if not answer.HasField("entry"):
            await self._works.write(lambda work: queueing.forget(work, row.ordering_key, asked.entry_id, now))
            return
        await self._works.write(lambda work: queueing.settle(work, row.ordering_key, asked.entry_id, attempt, now))


def _is_fault(error: RpcError) -> bool:
    return error.code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
