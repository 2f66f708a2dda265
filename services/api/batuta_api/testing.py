"""What tests of the API need: its work in memory, and a queue service of ours that keeps entries in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import grpc.aio

from batuta_api.artifacts.testing import MemoryArtifactStore
from batuta_api.audit.testing import MemoryAuditStore, MemoryChangeStore
from batuta_api.calls import Context
from batuta_api.logs.testing import MemoryLogStore
from batuta_api.metrics.testing import MemoryScalarStore
from batuta_api.projects.testing import MemoryMemberStore, MemoryProjectStore
from batuta_api.tasks.testing import MemoryAttemptStore, MemoryCursorStore, MemoryTaskStore
from batuta_api.users.testing import MemoryPeopleStore, MemoryUserStore
from batuta_api.work import Work
from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_rpc.clock import SystemClock
from batuta_rpc.errors import (
    AgentNotFound,
    CursorExpired,
    EntryNotFound,
    QueueNameTaken,
    QueueNotFound,
    RpcError,
    ShuttingDown,
    Unavailable,
    abort,
)


@dataclass
class MemoryOutbox:
    """`Posting` into a list of (topic, key, payload)."""

    posted: list[tuple[str, str, bytes]] = field(default_factory=list[tuple[str, str, bytes]])

    def add(self, topic: str, key: str, payload: bytes) -> None:
        """Post `payload`."""
        self.posted.append((topic, key, payload))

    def pending(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys that have messages on their way."""
        return {key for _, key, _ in self.posted} & set(keys)


class MemoryRequests:
    """`RequestStore` in a dictionary."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, str], tuple[bytes, bytes]] = {}

    def find_request(self, caller: str, method: str, request_id: str) -> tuple[bytes, bytes] | None:
        """(hash of the request, serialized response), if the id was seen."""
        return self._answers.get((caller, method, request_id))

    def keep_request(self, caller: str, method: str, request_id: str, request_hash: bytes, response: bytes) -> None:
        """Keep an answer."""
        self._answers[caller, method, request_id] = (request_hash, response)


def _nobody_listens(_topic: str) -> None:
    return


def memory_work() -> Work:
    """The work of a service that keeps everything in memory; for `MemoryTransactor`."""
    scalars, projects = MemoryScalarStore(), MemoryProjectStore()
    return Work(
        projects=projects,
        members=MemoryMemberStore(projects),
        tasks=MemoryTaskStore(scalars),
        attempts=MemoryAttemptStore(),
        cursor=MemoryCursorStore(),
        scalars=scalars,
        logs=MemoryLogStore(),
        artifacts=MemoryArtifactStore(),
        people=MemoryPeopleStore(),
        users=MemoryUserStore(),
        audit=MemoryAuditStore(),
        changes=MemoryChangeStore(),
        outbox=MemoryOutbox(),
        requests=MemoryRequests(),
        announce=_nobody_listens,
    )


class FakeQueue(queues.QueueServiceServicer):
    """A queue service that does what a test tells it: entries arrive in `entries`, `tell` writes the event log.

    It keeps the contract's promises that the API counts on: entries are idempotent by id, and the log is a log.
    """

    def __init__(self) -> None:
        self.queues: dict[str, queues.Queue] = {}
        self.entries: dict[str, queues.Entry] = {}
        self.submissions: list[queues.SubmitEntryRequest] = []
        self.withdrawals: list[str] = []
        self.events: list[queues.EntryEvent] = []
        self.epoch = "epoch-1"
        self.refuse_submit: RpcError | None = None
        self.refuse_withdraw: RpcError | None = None
        self.cut_snapshots = 0
        self.lose_answers = 0
        self.calls: list[str] = []
        self.tokens: list[str] = []
        self._at_once = 0
        self.most_at_once = 0
        self._changed = asyncio.Event()
        self.make_queue("default")

    def make_queue(self, name: str) -> queues.Queue:
        """Make a queue."""
        queue = queues.Queue(id=f"q-{len(self.queues) + 1}", etag="1", display_name=name)
        self.queues[queue.id] = queue
        return queue

    def tell(self, entry_id: str, state: int, phase: int = 0, attempt: int = 0, **fields: Any) -> None:
        """Write one event about an entry into the log."""
        event = queues.EntryEvent(
            position=len(self.events) + 1,
            entry_id=entry_id,
            task_id=self.entries[entry_id].task_id,
            entry_state=cast("Any", state),
            attempt=attempt,
            phase=cast("Any", phase),
            **fields,
        )
        self.events.append(event)
        self._wake()

    def new_log(self) -> None:
        """Replace the log by a new one that begins with nothing, as after a restore."""
        self.epoch += "x"
        self.events.clear()
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def CreateQueue(self, request: queues.CreateQueueRequest, context: Context) -> queues.CreateQueueResponse:
        """Make a queue."""
        self.calls.append("CreateQueue")
        if any(queue.display_name == request.display_name for queue in self.queues.values()):
            await abort(context, QueueNameTaken(f"there is a queue {request.display_name!r} already"))
        return queues.CreateQueueResponse(queue=self.make_queue(request.display_name))

    async def GetQueue(self, request: queues.GetQueueRequest, context: Context) -> queues.GetQueueResponse:
        """One queue."""
        self.calls.append("GetQueue")
        self._note(context)
        wanted = request.queue_id or request.display_name
        found = [queue for queue in self.queues.values() if wanted in (queue.id, queue.display_name)]
        if found:
            return queues.GetQueueResponse(queue=found[0])
        names = ", ".join(sorted(queue.display_name for queue in self.queues.values()))
        return await abort(context, QueueNotFound(f"there is no such queue; there are: {names}", queues=names))

    async def ListQueues(self, request: queues.ListQueuesRequest, context: Context) -> queues.ListQueuesResponse:
        """All queues."""
        self._note(context)
        return queues.ListQueuesResponse(queues=self.queues.values())

    async def ListEntries(self, request: queues.ListEntriesRequest, context: Context) -> queues.ListEntriesResponse:
        """The entries of a queue."""
        return queues.ListEntriesResponse(entries=[e for e in self.entries.values() if e.queue_id == request.queue_id])

    async def SubmitEntry(self, request: queues.SubmitEntryRequest, context: Context) -> queues.SubmitEntryResponse:
        """Keep an entry."""
        self._note(context)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await SystemClock().sleep(0.001)  # let those that come together be counted together
        self._at_once -= 1
        self.submissions.append(request)
        if self.refuse_submit is not None:
            await abort(context, self.refuse_submit)
        envelope = request.envelope
        entry = self.entries.setdefault(
            request.entry_id,
            queues.Entry(
                id=request.entry_id,
                task_id=envelope.task_id,
                queue_id=envelope.queue_id,
                state=queues.ENTRY_STATE_WAITING,
                priority=envelope.priority,
                attempt=envelope.attempt_floor,
            ),
        )
        self._wake()
        await self._lose_answer(context)
        return queues.SubmitEntryResponse(entry=entry)

    async def BatchSubmitEntries(
        self, request: queues.BatchSubmitEntriesRequest, context: Context
    ) -> queues.BatchSubmitEntriesResponse:
        """Keep entries one by one."""
        stored = [(await self.SubmitEntry(each, context)).entry for each in request.entries]
        return queues.BatchSubmitEntriesResponse(results=[queues.SubmitResult(state=each.state) for each in stored])

    async def WithdrawEntry(
        self, request: queues.WithdrawEntryRequest, context: Context
    ) -> queues.WithdrawEntryResponse:
        """Note a withdrawal; what becomes of it is the test's to tell."""
        self._note(context)
        self.withdrawals.append(request.entry_id)
        if self.refuse_withdraw is not None:
            await abort(context, self.refuse_withdraw)
        self._wake()
        await self._lose_answer(context)
        return queues.WithdrawEntryResponse(entry=self.entries.get(request.entry_id))

    async def BatchGetEntries(
        self, request: queues.BatchGetEntriesRequest, context: Context
    ) -> queues.BatchGetEntriesResponse:
        """The newest event of each entry; nothing but its id for an unknown one."""
        self._note(context)
        self.calls.append("BatchGetEntries")
        newest = {event.entry_id: event for event in self.events}
        return queues.BatchGetEntriesResponse(
            events=[newest.get(each) or self._unstarted(each) for each in request.entry_ids]
        )

    def _unstarted(self, entry_id: str) -> queues.EntryEvent:
        entry = self.entries.get(entry_id)
        if entry is None:
            return queues.EntryEvent(entry_id=entry_id)
        return queues.EntryEvent(entry_id=entry_id, task_id=entry.task_id, entry_state=entry.state)

    async def ReleaseEntry(self, request: queues.ReleaseEntryRequest, context: Context) -> queues.ReleaseEntryResponse:
        """Let a held entry go."""
        entry = self.entries.get(request.entry_id)
        if entry is None:
            return await abort(context, EntryNotFound(f"there is no entry {request.entry_id}"))
        if entry.state == queues.ENTRY_STATE_HELD:
            entry.state = queues.ENTRY_STATE_WAITING
            self.tell(entry.id, queues.ENTRY_STATE_WAITING)
        return queues.ReleaseEntryResponse(entry=entry)

    async def PauseQueue(self, request: queues.PauseQueueRequest, context: Context) -> queues.PauseQueueResponse:
        """Nothing is offered here anyway."""
        return queues.PauseQueueResponse(queue=queues.Queue(id=request.queue_id))

    async def ResumeQueue(self, request: queues.ResumeQueueRequest, context: Context) -> queues.ResumeQueueResponse:
        """Nothing is offered here anyway."""
        return queues.ResumeQueueResponse(queue=queues.Queue(id=request.queue_id))

    async def MoveEntry(self, request: queues.MoveEntryRequest, context: Context) -> queues.MoveEntryResponse:
        """Put an entry into another queue."""
        entry = self.entries.get(request.entry_id)
        if entry is None:
            return await abort(context, EntryNotFound(f"there is no entry {request.entry_id}"))
        entry.queue_id = request.queue_id or entry.queue_id
        return queues.MoveEntryResponse(entry=entry)

    async def GetQueueHistory(
        self, request: queues.GetQueueHistoryRequest, context: Context
    ) -> queues.GetQueueHistoryResponse:
        """Nothing was seen."""
        return queues.GetQueueHistoryResponse()

    async def UpdateQueue(self, request: queues.UpdateQueueRequest, context: Context) -> queues.UpdateQueueResponse:
        """Rename a queue."""
        self.queues[request.queue.id].display_name = request.queue.display_name
        return queues.UpdateQueueResponse(queue=self.queues[request.queue.id])

    async def DeleteQueue(self, request: queues.DeleteQueueRequest, context: Context) -> queues.DeleteQueueResponse:
        """Forget a queue; what becomes of its entries is the test's to tell."""
        del self.queues[request.queue_id]
        return queues.DeleteQueueResponse()

    async def ClearQueue(self, request: queues.ClearQueueRequest, context: Context) -> queues.ClearQueueResponse:
        """What becomes of the entries is the test's to tell."""
        return queues.ClearQueueResponse()

    async def RemoveEntry(self, request: queues.RemoveEntryRequest, context: Context) -> queues.RemoveEntryResponse:
        """What becomes of the entry is the test's to tell."""
        return queues.RemoveEntryResponse(entry=self.entries.get(request.entry_id))

    async def WatchAttempts(
        self, request: queues.WatchAttemptsRequest, context: Context
    ) -> AsyncIterator[queues.WatchAttemptsResponse]:
        """The log after a cursor, and what comes."""
        self._note(context)
        epoch, position = self.epoch, len(self.events)
        if request.HasField("after"):
            if request.after.log_epoch != epoch:
                await abort(context, CursorExpired("this log is another one; begin again without a cursor"))
            position = request.after.position
        else:
            self.calls.append("snapshot")
            for event in self._live():
                yield queues.WatchAttemptsResponse(events=[event], snapshot=True)
            if self.cut_snapshots:
                self.cut_snapshots -= 1
                await abort(context, ShuttingDown("in the middle of a snapshot"))
            yield queues.WatchAttemptsResponse(synced=True, cursor=queues.Cursor(log_epoch=epoch, position=position))
        while True:
            changed = self._changed
            if epoch != self.epoch:
                await abort(context, CursorExpired("this log is another one; begin again without a cursor"))
            events = self.events[position:]
            position += len(events)
            cursor = queues.Cursor(log_epoch=epoch, position=position)
            yield queues.WatchAttemptsResponse(events=events, cursor=cursor)
            await changed.wait()

    async def _lose_answer(self, context: Context) -> None:
        if self.lose_answers > 0:
            self.lose_answers -= 1
            await abort(context, Unavailable("the answer is lost"))

    def _live(self) -> list[queues.EntryEvent]:
        newest = {event.entry_id: event for event in self.events}
        found = [newest.get(each) or self._unstarted(each) for each in self.entries]
        return [event for event in found if event.entry_state < queues.ENTRY_STATE_DONE]

    def restore(self, entries: dict[str, queues.Entry], events: list[queues.EntryEvent]) -> None:
        """Go back to an older copy of what this service kept, under a new log."""
        self.entries, self.events = dict(entries), list(events)
        self.epoch += "x"
        self._wake()

    def _note(self, context: Context) -> None:
        for key, value in context.invocation_metadata() or ():
            if key == "authorization":
                self.tokens.append(str(value).removeprefix("Bearer "))


class FakeAgents(agents.AgentServiceServicer):
    """An agent service without agents."""

    async def GetAgent(self, request: agents.GetAgentRequest, context: Context) -> agents.GetAgentResponse:
        """No such agent."""
        return await abort(context, _no_agent(request.agent_id))

    async def ListAgents(self, request: agents.ListAgentsRequest, context: Context) -> agents.ListAgentsResponse:
        """None."""
        return agents.ListAgentsResponse()

    async def GetFleet(self, request: agents.GetFleetRequest, context: Context) -> agents.GetFleetResponse:
        """Nobody."""
        return agents.GetFleetResponse()

    async def GetAgentHistory(
        self, request: agents.GetAgentHistoryRequest, context: Context
    ) -> agents.GetAgentHistoryResponse:
        """No such agent."""
        return await abort(context, _no_agent(request.agent_id))

    async def DrainAgent(self, request: agents.DrainAgentRequest, context: Context) -> agents.DrainAgentResponse:
        """No such agent."""
        return await abort(context, _no_agent(request.agent_id))

    async def UndrainAgent(self, request: agents.UndrainAgentRequest, context: Context) -> agents.UndrainAgentResponse:
        """No such agent."""
        return await abort(context, _no_agent(request.agent_id))

    async def DeclareAgentLost(
        self, request: agents.DeclareAgentLostRequest, context: Context
    ) -> agents.DeclareAgentLostResponse:
        """No such agent."""
        return await abort(context, _no_agent(request.agent_id))


def _no_agent(agent_id: str) -> AgentNotFound:
    return AgentNotFound(f"there is no agent {agent_id!r}", agent_id=agent_id)


class RunningQueue:
    """A `FakeQueue` on a loopback port; it may be stopped and started again with what it holds."""

    def __init__(self) -> None:
        self.service = FakeQueue()
        self._server: grpc.aio.Server | None = None
        self.port = 0

    @property
    def endpoint(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Open the port: a free one at first, the same one afterwards."""
        self._server = grpc.aio.server()
        queues.add_QueueServiceServicer_to_server(self.service, self._server)
        agents.add_AgentServiceServicer_to_server(FakeAgents(), self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        """Close the port at once."""
        if self._server is not None:
            await self._server.stop(0)
            self._server = None
