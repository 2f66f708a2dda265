"""Calls pass through a second service as if it were not there: bytes, tokens, deadlines, statuses, cancellations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any, cast

import grpc
import grpc.aio
import pytest

from batuta_chassis.caller import current_caller
from batuta_chassis.contract import contract
from batuta_chassis.forward import Forward
from batuta_chassis.service import Service
from batuta_chassis.testing import Running, running
from batuta_proto.agents import v1 as agents
from batuta_proto.logs import v1 as logs
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_rpc import errors
from batuta_rpc.channel import open_raw_aio
from batuta_rpc.testing import until

NAMES = (
    "batuta.queues.v1.QueueService",
    "batuta.agents.v1.DispatchService",
    "batuta.logs.v1.LogService",
    "batuta.tasks.v1.TaskService",
)


class Behind:
    """What the service behind saw."""

    def __init__(self) -> None:
        self.subject = ""
        self.remaining: float | None = None
        self.cancelled = asyncio.Event()
        self.heeded: list[str] = []


class Queues(queues.QueueServiceServicer):
    def __init__(self, behind: Behind) -> None:
        self.behind = behind

    async def CreateQueue(self, request: Any, context: Any) -> queues.CreateQueueResponse:
        self.behind.subject, self.behind.remaining = current_caller().subject, context.time_remaining()
        if request.display_name == "taken":
            raise errors.QueueNameTaken("taken", resource=("queue", "q1"), queue_id="q1")
        if request.display_name == "slow":
            try:
                await asyncio.Event().wait()
            finally:
                self.behind.cancelled.set()
        return queues.CreateQueueResponse(queue=queues.Queue(id="q1", display_name=request.display_name))

    async def WatchAttempts(self, request: Any, context: Any) -> AsyncIterator[queues.WatchAttemptsResponse]:
        try:
            for _ in range(3):
                yield queues.WatchAttemptsResponse()
            if request.HasField("after"):
                raise errors.CursorExpired("begin again")
            await asyncio.Event().wait()
        finally:
            self.behind.cancelled.set()


class Dispatch(agents.DispatchServiceServicer):
    async def Session(self, request_iterator: Any, context: Any) -> AsyncIterator[agents.SessionResponse]:
        async for _ in request_iterator:
            yield agents.SessionResponse()


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest.fixture
async def front(behind: Behind, tmp_path: Path) -> AsyncGenerator[tuple[Running, Running]]:
    """A service that passes calls on, and the one behind it."""
    keys = tmp_path / "keys"

    def far(*_: Any) -> Service:
        return Service(
            "queue",
            (
                (queues.add_QueueServiceServicer_to_server, cast("Any", Queues)(behind), NAMES[0]),
                (agents.add_DispatchServiceServicer_to_server, Dispatch(), NAMES[1]),
            ),
        )

    async with running(far, tmp_path / "far", keys_dir=keys) as queue:
        channel = open_raw_aio(queue.address)

        def near(*_: Any) -> Service:
            heed = {f"/{NAMES[0]}/CreateQueue": lambda: behind.heeded.append(behind.subject)}
            forward = Forward(channel, NAMES, contract(), "queue", heed=heed)
            return Service("api", (), generic_handlers=[forward], forwarded=NAMES, on_stop=[channel.close])

        async with running(near, tmp_path / "near", keys_dir=keys) as api:
            yield api, queue


def queue_stub(service: Running, *roles: str) -> Any:
    return queues.QueueServiceStub(service.channel(*roles, subject="ada"))


async def test_a_call_arrives_with_its_caller_and_deadline(front: tuple[Running, Running], behind: Behind) -> None:
    request = queues.CreateQueueRequest(display_name="größe ä")
    answer = await queue_stub(front[0], "member").CreateQueue(request, timeout=7)
    assert answer.queue.display_name == "größe ä"
    assert behind.subject == "ada"
    assert 0 < (behind.remaining or 0) <= 7.5


async def test_an_error_comes_back_with_all_its_details(front: tuple[Running, Running]) -> None:
    with pytest.raises(errors.QueueNameTaken) as caught:
        await queue_stub(front[0], "member").CreateQueue(queues.CreateQueueRequest(display_name="taken"))
    assert (caught.value.resource, caught.value.metadata) == (("queue", "q1"), {"queue_id": "q1"})


async def test_a_method_that_is_heeded_is_told_of_after_each_call_however_it_ended(
    front: tuple[Running, Running], behind: Behind
) -> None:
    stub = queue_stub(front[0], "member")
    await stub.CreateQueue(queues.CreateQueueRequest(display_name="q"))
    assert behind.heeded == ["ada"]
    with pytest.raises(errors.QueueNameTaken):
        await stub.CreateQueue(queues.CreateQueueRequest(display_name="taken"))
    assert behind.heeded == ["ada", "ada"]


async def test_rules_are_checked_by_the_one_who_answers(front: tuple[Running, Running]) -> None:
    with pytest.raises(errors.FieldViolation):
        await queue_stub(front[0], "member").CreateQueue(queues.CreateQueueRequest(display_name=" "))


async def test_who_may_not_call_is_refused_at_the_door(front: tuple[Running, Running], behind: Behind) -> None:
    with pytest.raises(errors.TokenMissing):
        await queue_stub(front[0]).CreateQueue(queues.CreateQueueRequest(display_name="q"))
    with pytest.raises(errors.RoleMissing):
        await queue_stub(front[0], "viewer").CreateQueue(queues.CreateQueueRequest(display_name="q"))
    assert behind.subject == ""


async def test_a_caller_who_gives_up_is_heard_of_behind(front: tuple[Running, Running], behind: Behind) -> None:
    call = asyncio.ensure_future(
        queue_stub(front[0], "member").CreateQueue(queues.CreateQueueRequest(display_name="slow"))
    )
    await until(lambda: bool(behind.subject))
    call.cancel()
    await asyncio.wait_for(behind.cancelled.wait(), 10)


async def test_a_stream_of_answers_passes_and_ends_with_its_error(front: tuple[Running, Running]) -> None:
    request = queues.WatchAttemptsRequest(after=queues.Cursor())
    call = queue_stub(front[0], "service").WatchAttempts(request)
    for _ in range(3):
        assert isinstance(await call.read(), queues.WatchAttemptsResponse)
    with pytest.raises(errors.CursorExpired):
        await call.read()


async def test_leaving_a_stream_of_answers_ends_it_behind(front: tuple[Running, Running], behind: Behind) -> None:
    call = queue_stub(front[0], "service").WatchAttempts(queues.WatchAttemptsRequest())
    await call.read()
    call.cancel()
    await asyncio.wait_for(behind.cancelled.wait(), 10)


async def test_a_stream_both_ways_passes_message_by_message(front: tuple[Running, Running]) -> None:
    call = agents.DispatchServiceStub(front[0].channel("agent")).Session()
    for _ in range(3):
        await call.write(agents.SessionRequest(goodbye=agents.Goodbye()))
        assert isinstance(await call.read(), agents.SessionResponse)
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_a_method_that_nobody_behind_serves_says_so(front: tuple[Running, Running]) -> None:
    stub = tasks.TaskServiceStub(front[0].channel("viewer"))
    run = front[0].channel(token=front[0].tokens.of_attempt("t", 1))
    with pytest.raises(errors.MethodUnknown):
        await stub.GetTask(tasks.GetTaskRequest(task_id="0" * 32))
    with pytest.raises(errors.MethodUnknown):
        await logs.LogServiceStub(run).AppendLog().read()


async def test_a_service_that_is_away_is_named(front: tuple[Running, Running]) -> None:
    await front[1].process.stop(grace=0)
    with pytest.raises(errors.UpstreamUnavailable, match="queue service"):
        await queue_stub(front[0], "service").WatchAttempts(queues.WatchAttemptsRequest()).read()
