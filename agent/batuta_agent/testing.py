"""For tests: a broker and an API that say exactly what a test tells them to, over real gRPC on a loopback port."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message

from batuta_proto.agents import v1 as agents
from batuta_proto.logs import v1 as logs
from batuta_proto.queues import v1 as queues
from batuta_proto.system import v1 as system
from batuta_proto.tasks import v1 as tasks
from batuta_proto.users import v1 as users
from batuta_rpc.clock import SystemClock
from batuta_rpc.errors import QueueNotFound, RpcError, TaskNotFound, to_status

PATIENCE = 30.0


class Dialogue:
    """The broker's end of one session, in the hands of a test."""

    def __init__(self) -> None:
        self.received: list[agents.SessionRequest] = []
        self.auto = False
        """True: heartbeats and reports are acknowledged without being told to."""
        self.ended = asyncio.Event()
        self._inbox: asyncio.Queue[agents.SessionRequest] = asyncio.Queue()
        self._outbox: asyncio.Queue[agents.SessionResponse | RpcError | None] = asyncio.Queue()

    async def take(self, kind: str) -> Any:
        """The next message of this kind; others before it are passed over. Fails after 30 s."""
        while True:
            message = await asyncio.wait_for(self._inbox.get(), PATIENCE)
            if message.WhichOneof("message") == kind:
                return getattr(message, kind)

    async def take_report(self, phase: int) -> agents.AssignmentReport:
        """The next report of this phase."""
        while True:
            report: agents.AssignmentReport = await self.take("report")
            if report.phase == phase:
                return report

    def send(self, **message: Any) -> None:
        """Send one message: `send(cancel=agents.Cancel(…))`."""
        self._outbox.put_nowait(agents.SessionResponse(**message))

    def welcome(self, expected: Iterable[agents.Assignment] = (), report_number: int = 0, period: float = 0.2) -> None:
        """Send a Welcome with quick heartbeats."""
        message = agents.Welcome(session_id="session", expected=expected, report_number=report_number)
        message.heartbeat_period.FromNanoseconds(int(period * 1e9))
        message.telemetry_period.FromNanoseconds(int(period * 1e9))
        self.send(welcome=message)

    def acknowledge(self, number: int) -> None:
        """Acknowledge reports up to `number`."""
        self.send(report_ack=agents.ReportAck(report_number=number))

    def end(self, error: RpcError | None = None) -> None:
        """End the stream, in order or with an error."""
        self._outbox.put_nowait(error)

    def hear(self, message: agents.SessionRequest) -> None:
        """A message has come."""
        self.received.append(message)
        self._inbox.put_nowait(message)
        kind = message.WhichOneof("message")
        if self.auto and kind == "heartbeat":
            self.send(heartbeat_ack=agents.HeartbeatAck(heartbeat_number=message.heartbeat.heartbeat_number))
        if self.auto and kind == "report":
            self.acknowledge(message.report.report_number)

    async def next_answer(self) -> agents.SessionResponse | RpcError | None:
        """What the test wants to be sent next."""
        return await self._outbox.get()


class ScriptedBroker:
    """All services that an agent talks to, on one port."""

    def __init__(self) -> None:
        self.address = ""
        self.tasks: dict[str, tasks.Task] = {}
        self.queues = {"default": "q-default"}
        self.join_tokens: list[str] = []
        self.role = "ROLE_AGENT"
        self.logs: dict[tuple[str, int, str], bytearray] = defaultdict(bytearray)
        self._sessions: asyncio.Queue[Dialogue] = asyncio.Queue()
        self._server: grpc.aio.Server | None = None

    async def start(self, port: int = 0) -> None:
        """Serve on a free port, or on the one given."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers(tuple(self._handlers()))
        bound = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.address = f"127.0.0.1:{bound}"
        await self._server.start()

    def _handlers(self) -> list[grpc.GenericRpcHandler]:
        plain, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        return [
            _handler("agents.v1.DispatchService", stream, self.Session, agents.SessionRequest),
            _handler("logs.v1.LogService", stream, self.AppendLog, logs.AppendLogRequest),
            _handler("tasks.v1.TaskService", plain, self.GetTask, tasks.GetTaskRequest),
            _handler("queues.v1.QueueService", plain, self.GetQueue, queues.GetQueueRequest),
            _handler("queues.v1.QueueService", plain, self.CreateQueue, queues.CreateQueueRequest),
            _handler("system.v1.SystemService", plain, self.GetServerInfo, system.GetServerInfoRequest),
            _handler("users.v1.UserService", plain, self.IssueToken, users.IssueTokenRequest),
            _handler("users.v1.UserService", plain, self.GetCaller, users.GetCallerRequest),
            _handler("users.v1.UserService", plain, self.CreateJoinToken, users.CreateJoinTokenRequest),
            _handler("users.v1.UserService", plain, self.RedeemJoinToken, users.RedeemJoinTokenRequest),
        ]

    async def stop(self) -> None:
        """Break everything off."""
        if self._server is not None:
            await self._server.stop(0)

    async def session(self) -> Dialogue:
        """The next session that an agent opens. Fails after 30 s."""
        return await asyncio.wait_for(self._sessions.get(), PATIENCE)

    async def welcomed(self, **welcome: Any) -> Dialogue:
        """The next session, greeted, with everything acknowledged by itself."""
        dialogue = await self.session()
        await dialogue.take("hello")
        dialogue.auto = True
        dialogue.welcome(**welcome)
        return dialogue

    def console(self, task_id: str, attempt: int) -> str:
        """What has been stored of an attempt's console."""
        return self.logs[(task_id, attempt, "console")].decode()

    async def Session(
        self, request_iterator: AsyncIterator[agents.SessionRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[agents.SessionResponse]:
        """One session, as the test says."""
        dialogue = Dialogue()
        self._sessions.put_nowait(dialogue)

        async def hear() -> None:
            with contextlib.suppress(Exception):  # the stream broke: the test sees that by `ended`
                async for message in request_iterator:
                    dialogue.hear(message)
            dialogue.ended.set()
            dialogue.end()

        hearing = asyncio.ensure_future(hear())
        try:
            while (answer := await dialogue.next_answer()) is not None:
                if isinstance(answer, RpcError):
                    await _abort(context, answer)
                else:
                    yield answer
        finally:
            dialogue.ended.set()
            hearing.cancel()

    async def GetTask(
        self, request: tasks.GetTaskRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> tasks.GetTaskResponse:
        """A task that the test has put there."""
        if request.task_id not in self.tasks:
            await _abort(context, TaskNotFound(f"no task {request.task_id}"))
        return tasks.GetTaskResponse(task=self.tasks[request.task_id])

    async def GetQueue(
        self, request: queues.GetQueueRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> queues.GetQueueResponse:
        """A queue by name."""
        name = request.display_name
        if name not in self.queues:
            await _abort(context, QueueNotFound(f"no queue {name!r}; there are: {', '.join(self.queues)}"))
        return queues.GetQueueResponse(queue=queues.Queue(id=self.queues[name], display_name=name))

    async def CreateQueue(
        self, request: queues.CreateQueueRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> queues.CreateQueueResponse:
        """Makes a queue."""
        name = request.display_name
        self.queues[name] = f"q-{name}"
        return queues.CreateQueueResponse(queue=queues.Queue(id=self.queues[name], display_name=name))

    async def GetServerInfo(
        self, request: system.GetServerInfoRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> system.GetServerInfoResponse:
        """Agents dial this same address."""
        return system.GetServerInfoResponse(service="api", version="0")

    async def IssueToken(
        self, request: users.IssueTokenRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> users.IssueTokenResponse:
        """A token for the one credential `key`/`secret`."""
        if (request.access_key, request.secret_key) != ("key", "secret"):
            await _abort(context, RpcError.for_reason("CREDENTIAL_INVALID", "the credential is not valid"))
        answer = users.IssueTokenResponse(token="token")
        answer.expire_time.FromSeconds(SystemClock().unix_millis() // 1000 + 900)
        return answer

    async def GetCaller(
        self, request: users.GetCallerRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> users.GetCallerResponse:
        """Whoever calls has the role of `self.role`."""
        return users.GetCallerResponse(subject="somebody", roles=[self.role])

    async def CreateJoinToken(
        self, request: users.CreateJoinTokenRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> users.CreateJoinTokenResponse:
        """The join token `join`."""
        self.join_tokens.append(request.comment)
        return users.CreateJoinTokenResponse(join_token="join")

    async def RedeemJoinToken(
        self, request: users.RedeemJoinTokenRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> users.RedeemJoinTokenResponse:
        """The credential `key`/`secret` for the join token `join`."""
        if request.join_token != "join":
            await _abort(context, RpcError.for_reason("JOIN_TOKEN_INVALID", "the join token is not valid"))
        return users.RedeemJoinTokenResponse(credential=users.Credential(access_key="key"), secret_key="secret")

    async def AppendLog(
        self, request_iterator: AsyncIterator[logs.AppendLogRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[logs.AppendLogResponse]:
        """Stores log bytes in memory."""
        key = ("", 0, "")
        async for chunk in request_iterator:
            key = (chunk.task_id or key[0], chunk.attempt or key[1], chunk.producer or key[2])
            stored = self.logs[key]
            if chunk.offset <= len(stored):
                stored += chunk.data[len(stored) - chunk.offset :]
            yield logs.AppendLogResponse(committed_offset=len(stored))


async def until(condition: Callable[[], object], limit: float = PATIENCE) -> None:
    """Wait until `condition` holds, for what happens in other processes. Fails after `limit` seconds."""
    clock = SystemClock()
    end = clock.monotonic() + limit
    while not condition():
        if clock.monotonic() >= end:
            raise TimeoutError(f"did not happen within {limit:g} s")
        await clock.sleep(0.01)


def _handler(service: str, kind: Any, method: Any, request: Any) -> grpc.GenericRpcHandler:
    """Serves one method; those that no test needs are UNIMPLEMENTED."""

    def render(response: Message) -> bytes:
        return response.SerializeToString()

    handler = kind(method, request.FromString, render)
    return grpc.method_handlers_generic_handler(f"batuta.{service}", {method.__name__: handler})


async def _abort(context: grpc.aio.ServicerContext[Any, Any], error: RpcError) -> None:
    details = to_status(error).SerializeToString()
    context.set_trailing_metadata((("grpc-status-details-bin", details),))
    await context.abort(error.code, error.message)
