"""A small real server for the tests of channels: it does what a test tells it to."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
import grpc.aio
import pytest

from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_proto.system import v1 as system
from batuta_proto.users import v1 as users
from batuta_rpc.errors import RpcError, abort

Context = Any


@dataclass
class Script:
    """What the server does, and what it saw."""

    failures: list[RpcError | grpc.StatusCode] = field(default_factory=list[Any])
    """Raised by the next calls, one each."""
    seen: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """The metadata of each call."""
    deadlines: list[float | None] = field(default_factory=list[Any])
    request_ids: list[str] = field(default_factory=list[str])
    last_words: RpcError | None = None
    """What a stream of answers ends with, after its answers."""
    issued: int = 0
    token_life: float = 900.0

    async def enter(self, context: Context) -> None:
        self.seen.append({key: value for key, value in context.invocation_metadata() if isinstance(value, str)})
        self.deadlines.append(context.time_remaining())
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, RpcError):
                await abort(context, failure)
            await context.abort(failure, "scripted")

    def token(self, number: int) -> str:
        """What the server gives as its token number so-and-so: its shape is a token's, and says how long it lives."""
        payload = base64.urlsafe_b64encode(json.dumps({"iat": 1_000, "exp": 1_000 + self.token_life}).encode())
        return f"head{number}.{payload.decode().rstrip('=')}.sign"


class System(system.SystemServiceServicer):
    def __init__(self, script: Script) -> None:
        self.script = script

    async def GetServerInfo(self, request: Any, context: Context) -> system.GetServerInfoResponse:
        await self.script.enter(context)
        return system.GetServerInfoResponse(service="scripted")


class Users(users.UserServiceServicer):
    def __init__(self, script: Script) -> None:
        self.script = script

    async def IssueToken(self, request: Any, context: Context) -> users.IssueTokenResponse:
        await self.script.enter(context)
        self.script.issued += 1
        return users.IssueTokenResponse(token=self.script.token(self.script.issued))

    async def CreateCredential(self, request: Any, context: Context) -> users.CreateCredentialResponse:
        await self.script.enter(context)
        return users.CreateCredentialResponse()


class Queues(queues.QueueServiceServicer):
    def __init__(self, script: Script) -> None:
        self.script = script

    async def CreateQueue(self, request: Any, context: Context) -> queues.CreateQueueResponse:
        self.script.request_ids.append(request.request_id)
        await self.script.enter(context)
        return queues.CreateQueueResponse()

    async def WatchAttempts(self, request: Any, context: Context) -> AsyncIterator[queues.WatchAttemptsResponse]:
        await self.script.enter(context)
        for _ in range(3):
            yield queues.WatchAttemptsResponse()
        if self.script.last_words is not None:
            await abort(context, self.script.last_words)


class Dispatch(agents.DispatchServiceServicer):
    def __init__(self, script: Script) -> None:
        self.script = script

    async def Session(self, request_iterator: Any, context: Context) -> AsyncIterator[agents.SessionResponse]:
        await self.script.enter(context)
        async for _ in request_iterator:
            yield agents.SessionResponse()


async def start(script: Script, port: int = 0) -> tuple[grpc.aio.Server, str]:
    """A running server and its address."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    system.add_SystemServiceServicer_to_server(cast(Any, System)(script), server)
    users.add_UserServiceServicer_to_server(cast(Any, Users)(script), server)
    queues.add_QueueServiceServicer_to_server(cast(Any, Queues)(script), server)
    agents.add_DispatchServiceServicer_to_server(cast(Any, Dispatch)(script), server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server, f"127.0.0.1:{port}"


@pytest.fixture
def script() -> Script:
    """What the server does."""
    return Script()


@pytest.fixture
async def address(script: Script) -> AsyncGenerator[str]:
    """A server in the test's own loop."""
    server, where = await start(script)
    yield where
    await server.stop(0)


@pytest.fixture
def far_address(script: Script) -> Iterator[str]:
    """A server in a thread with a loop of its own, for blocking clients."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def there(work: Callable[[], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            return await work()

        return asyncio.run_coroutine_threadsafe(run(), loop).result(10)

    server, where = there(lambda: start(script))
    yield where
    there(lambda: server.stop(0))
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()
