"""`QueueService`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc.aio

from batuta_chassis.caller import current_caller
from batuta_chassis.requests import once
from batuta_chassis.transactions import Transactor
from batuta_proto.queues import v1 as queues
from batuta_queue.agent_view import AgentView
from batuta_queue.batch_submit import BatchSubmitter
from batuta_queue.convert import entry_message, event_message, policy_of, queue_fields, queue_message
from batuta_queue.convert_log import part_message
from batuta_queue.events import EventLog
from batuta_queue.listings import Listings
from batuta_queue.model import Entry, Queue, QueueCounts
from batuta_queue.moves import Mover
from batuta_queue.pages import make_token, page_size, read_token
from batuta_queue.pauses import Pauses
from batuta_queue.plots import Plots
from batuta_queue.queue_care import QueueCare
from batuta_queue.queues import Queues
from batuta_queue.removals import Removals
from batuta_queue.store import QueueStore
from batuta_queue.submit import Submitter
from batuta_rpc.clock import Clock

SERVICE_NAME = "batuta.queues.v1.QueueService"
Context = grpc.aio.ServicerContext  # generic in the stubs only


class QueueServicer(queues.QueueServiceServicer):
    """Parses, calls, renders."""

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        names: Queues,
        submitter: Submitter,
        batches: BatchSubmitter,
        mover: Mover,
        pauses: Pauses,
        care: QueueCare,
        removals: Removals,
        log: EventLog,
        view: AgentView,
        plots: Plots,
        clock: Clock,
    ) -> None:
        self._transactor = transactor
        self._queues = names
        self._submitter = submitter
        self._batches = batches
        self._mover = mover
        self._pauses = pauses
        self._care = care
        self._removals = removals
        self._listings = Listings(transactor, names, clock)
        self._log = log
        self._agents = view
        self._plots = plots
        self._clock = clock

    async def CreateQueue(
        self, request: queues.CreateQueueRequest, context: Context[Any, Any]
    ) -> queues.CreateQueueResponse:
        """Makes a queue, once per request_id."""
        caller, method = current_caller().subject, f"{SERVICE_NAME}/CreateQueue"
        return await self._transactor.write(
            lambda store: once(store, caller, method, request, lambda: self._create(store, request), self._clock)
        )

    async def GetQueue(self, request: queues.GetQueueRequest, context: Context[Any, Any]) -> queues.GetQueueResponse:
        """One queue by id or by name."""
        if request.WhichOneof("queue") == "queue_id":
            found = await self._queues.now(request.queue_id)
        else:
            found = await self._queues.by_name(request.display_name)
        return queues.GetQueueResponse(queue=(await self._render([found]))[0])

    async def ListQueues(
        self, request: queues.ListQueuesRequest, context: Context[Any, Any]
    ) -> queues.ListQueuesResponse:
        """Queues by name."""
        size = page_size(request.page_size)
        after = read_token("queues", request.page_token, (str,)) or [""]
        found = await self._queues.page(after[0], size + 1)
        token = make_token("queues", [found[size - 1].name]) if len(found) > size else ""
        return queues.ListQueuesResponse(queues=await self._render(found[:size]), next_page_token=token)

    async def GetQueueHistory(
        self, request: queues.GetQueueHistoryRequest, context: Context[Any, Any]
    ) -> queues.GetQueueHistoryResponse:
        """A queue over time."""
        return await self._plots.queue(request)

    async def UpdateQueue(
        self, request: queues.UpdateQueueRequest, context: Context[Any, Any]
    ) -> queues.UpdateQueueResponse:
        """Changes a queue, once per request_id."""
        caller, method = current_caller().subject, f"{SERVICE_NAME}/UpdateQueue"
        answer = await self._transactor.write(
            lambda store: once(store, caller, method, request, lambda: self._update(store, request), self._clock)
        )
        await self._count(answer.queue)
        return answer

    async def DeleteQueue(
        self, request: queues.DeleteQueueRequest, context: Context[Any, Any]
    ) -> queues.DeleteQueueResponse:
        """Removes a queue, once per request_id."""
        caller, method = current_caller().subject, f"{SERVICE_NAME}/DeleteQueue"
        before = await self._care.empty(request.queue_id, request.etag, caller) if request.force else 0
        return await self._transactor.write(
            lambda store: once(
                store, caller, method, request, lambda: self._delete(store, request, caller, before), self._clock
            )
        )

    async def ClearQueue(
        self, request: queues.ClearQueueRequest, context: Context[Any, Any]
    ) -> queues.ClearQueueResponse:
        """Takes out what does not run."""
        count, more = await self._care.clear(request.queue_id, request.max_entries, current_caller().subject)
        return queues.ClearQueueResponse(removed_count=count, more=more)

    async def RemoveEntry(
        self, request: queues.RemoveEntryRequest, context: Context[Any, Any]
    ) -> queues.RemoveEntryResponse:
        """Takes one entry out."""
        removed = await self._removals.remove(request.entry_id, current_caller().subject)
        return queues.RemoveEntryResponse(entry=self._entry(removed))

    async def PauseQueue(
        self, request: queues.PauseQueueRequest, context: Context[Any, Any]
    ) -> queues.PauseQueueResponse:
        """Has nothing of a queue offered."""
        paused = await self._pauses.pause(request.queue_id, current_caller().subject)
        return queues.PauseQueueResponse(queue=(await self._render([paused]))[0])

    async def ResumeQueue(
        self, request: queues.ResumeQueueRequest, context: Context[Any, Any]
    ) -> queues.ResumeQueueResponse:
        """Ends a pause."""
        resumed = await self._pauses.resume(request.queue_id)
        return queues.ResumeQueueResponse(queue=(await self._render([resumed]))[0])

    async def ListEntries(
        self, request: queues.ListEntriesRequest, context: Context[Any, Any]
    ) -> queues.ListEntriesResponse:
        """Entries of a queue that have not ended."""
        return await self._listings.page(request)

    async def SubmitEntry(
        self, request: queues.SubmitEntryRequest, context: Context[Any, Any]
    ) -> queues.SubmitEntryResponse:
        """Puts a task into a queue."""
        return queues.SubmitEntryResponse(entry=self._entry(await self._submitter.submit(request)))

    async def BatchGetEntries(
        self, request: queues.BatchGetEntriesRequest, context: Context[Any, Any]
    ) -> queues.BatchGetEntriesResponse:
        """The newest event of each entry."""
        found = await self._transactor.read(lambda store: store.newest_events(list(request.entry_ids)))
        return queues.BatchGetEntriesResponse(
            events=[
                event_message(found[each]) if each in found else queues.EntryEvent(entry_id=each)
                for each in request.entry_ids
            ]
        )

    async def ReleaseEntry(
        self, request: queues.ReleaseEntryRequest, context: Context[Any, Any]
    ) -> queues.ReleaseEntryResponse:
        """Lets a held entry go again."""
        return queues.ReleaseEntryResponse(entry=self._entry(await self._submitter.release(request.entry_id)))

    async def MoveEntry(self, request: queues.MoveEntryRequest, context: Context[Any, Any]) -> queues.MoveEntryResponse:
        """Puts an entry elsewhere."""
        return queues.MoveEntryResponse(entry=self._entry(await self._mover.move(request)))

    async def BatchSubmitEntries(
        self, request: queues.BatchSubmitEntriesRequest, context: Context[Any, Any]
    ) -> queues.BatchSubmitEntriesResponse:
        """Puts many tasks into queues."""
        return queues.BatchSubmitEntriesResponse(results=await self._batches.submit(request.entries))

    async def WithdrawEntry(
        self, request: queues.WithdrawEntryRequest, context: Context[Any, Any]
    ) -> queues.WithdrawEntryResponse:
        """Takes an entry out."""
        entry = await self._submitter.withdraw(request)
        return queues.WithdrawEntryResponse(entry=None if entry is None else self._entry(entry))

    async def WatchAttempts(
        self, request: queues.WatchAttemptsRequest, context: Context[Any, Any]
    ) -> AsyncIterator[queues.WatchAttemptsResponse]:
        """The event log after a cursor, or a snapshot and what comes."""
        after = (request.after.log_epoch, request.after.position) if request.HasField("after") else None
        # Closed at once when the reader leaves, so that no subscription outlives its stream.
        async with aclosing(self._log.watch(after)) as parts:
            async for part in parts:
                yield part_message(part)

    def _entry(self, entry: Entry) -> queues.Entry:
        return entry_message(entry, self._clock.unix_millis())

    def _create(self, store: QueueStore, request: queues.CreateQueueRequest) -> queues.CreateQueueResponse:
        made = self._queues.add(store, request.display_name, policy_of(request.spec.lease_policy), request.description)
        return queues.CreateQueueResponse(queue=queue_message(made, QueueCounts(), 0))

    def _update(self, store: QueueStore, request: queues.UpdateQueueRequest) -> queues.UpdateQueueResponse:
        asked = request.queue
        fields = queue_fields(asked, request.update_mask.paths)
        changed = self._care.update(store, asked.id, asked.etag, fields)
        return queues.UpdateQueueResponse(queue=queue_message(changed, QueueCounts(), 0))

    def _delete(
        self, store: QueueStore, request: queues.DeleteQueueRequest, caller: str, before: int
    ) -> queues.DeleteQueueResponse:
        removed, running = self._care.delete(store, request.queue_id, request.etag, request.force, caller)
        return queues.DeleteQueueResponse(removed_count=before + removed, running_count=running)

    async def _count(self, queue: queues.Queue) -> None:
        """Show what the broker sees of it now."""
        counts = (await self._queues.counts([queue.id]))[queue.id]
        queue.status.waiting_count, queue.status.running_count = counts.waiting, counts.running
        queue.status.held_count, queue.status.agent_count = counts.held, self._agents.serving(queue.id)

    async def _render(self, found: list[Queue]) -> list[queues.Queue]:
        counts = await self._queues.counts([queue.id for queue in found])
        return [queue_message(queue, counts[queue.id], self._agents.serving(queue.id)) for queue in found]
