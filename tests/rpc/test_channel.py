"""What every call of ours carries, survives and raises, over real connections."""

from __future__ import annotations

import json
import socket
import uuid
from typing import TYPE_CHECKING

import grpc
import pytest

from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_proto.system import v1 as system
from batuta_proto.users import v1 as users
from batuta_rpc import channel, errors, retries, trace
from batuta_rpc.auth import StaticToken
from batuta_rpc.version import VERSION

if TYPE_CHECKING:
    from tests.rpc.conftest import Script

INFO = system.GetServerInfoRequest()


async def test_a_call_carries_token_client_and_trace(address: str, script: Script) -> None:
    token = trace.trace_parent.set("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    async with channel.open_aio(f"http://{address}", StaticToken("t0"), "sdk-python") as opened:
        await system.SystemServiceStub(opened).GetServerInfo(INFO)
    trace.trace_parent.reset(token)
    assert script.seen[0]["authorization"] == "Bearer t0"
    assert script.seen[0]["batuta-client"] == f"sdk-python/{VERSION}"
    assert script.seen[0]["traceparent"].startswith("00-0af7")


async def test_a_unary_call_without_a_deadline_gets_one_and_its_own_is_kept(address: str, script: Script) -> None:
    async with channel.open_aio(address, None, "test") as opened:
        stub = system.SystemServiceStub(opened)
        await stub.GetServerInfo(INFO)
        await stub.GetServerInfo(INFO, timeout=3)
    assert 15 < (script.deadlines[0] or 0) <= 20.5
    assert 1 < (script.deadlines[1] or 0) <= 3.5


async def test_an_error_of_the_server_arrives_as_its_class(address: str, script: Script) -> None:
    script.failures = [errors.QueueNotFound("no queue gpu; there are default, services", name="gpu")]
    async with channel.open_aio(address, None, "test") as opened:
        with pytest.raises(errors.QueueNotFound, match="there are default") as caught:
            await system.SystemServiceStub(opened).GetServerInfo(INFO)
    assert caught.value.metadata == {"name": "gpu"}
    assert isinstance(caught.value.__context__, grpc.RpcError)  # for a debugger
    assert caught.value.__suppress_context__  # a user sees our words once, not gRPC's too


async def test_a_read_is_repeated_until_the_server_is_back(address: str, script: Script) -> None:
    script.failures = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE]
    async with channel.open_aio(address, None, "test") as opened:
        await system.SystemServiceStub(opened).GetServerInfo(INFO)
    assert len(script.seen) == 3


async def test_a_write_with_a_request_id_is_repeated_under_it(address: str, script: Script) -> None:
    script.failures = [grpc.StatusCode.UNAVAILABLE]
    async with channel.open_aio(address, None, "test") as opened:
        asked = queues.CreateQueueRequest(display_name="q", request_id="1e7f2a52-4b39-4b6e-8d2a-3a7b8f1c9d10")
        await queues.QueueServiceStub(opened).CreateQueue(asked)
    assert script.request_ids == [asked.request_id, asked.request_id]


async def test_a_write_whose_caller_gave_no_request_id_is_repeated_under_one_all_the_same(
    address: str, script: Script
) -> None:
    script.failures = [grpc.StatusCode.UNAVAILABLE]
    async with channel.open_aio(address, None, "test") as opened:
        asked = queues.CreateQueueRequest(display_name="q")
        await queues.QueueServiceStub(opened).CreateQueue(asked)
        await queues.QueueServiceStub(opened).CreateQueue(asked)
    first, again, another = script.request_ids
    assert uuid.UUID(first) == uuid.UUID(again) != uuid.UUID(another)
    assert not asked.request_id  # the caller's own message is left alone


def test_blocking_writes_get_a_request_id_too(far_address: str, script: Script) -> None:
    script.failures = [grpc.StatusCode.UNAVAILABLE]
    with channel.open_sync(far_address, None, "test") as opened:
        stub = queues.QueueServiceStub(opened)
        stub.CreateQueue(queues.CreateQueueRequest(display_name="q"))
        stub.CreateQueue.future(queues.CreateQueueRequest(display_name="q")).result(10)
    first, again, another = script.request_ids
    assert uuid.UUID(first) == uuid.UUID(again) != uuid.UUID(another)


async def test_a_write_that_would_act_twice_is_not_repeated(address: str, script: Script) -> None:
    script.failures = [grpc.StatusCode.UNAVAILABLE]
    async with channel.open_aio(address, None, "test") as opened:
        with pytest.raises(errors.Unavailable):
            await users.UserServiceStub(opened).CreateCredential(users.CreateCredentialRequest())
    assert len(script.seen) == 1


def test_the_retry_table_is_that_of_the_contract() -> None:
    every = list(retries.methods())
    repeated = {f"{each.containing_service.name}.{each.name}" for each in every if retries.may_repeat(each)}
    assert {"SystemService.GetServerInfo", "TaskService.EnqueueTask", "QueueService.SubmitEntry"} <= repeated
    assert not {"UserService.CreateCredential", "DispatchService.Session", "QueueService.WatchAttempts"} & repeated
    config = json.loads(retries.service_config())
    assert len(config["methodConfig"][0]["name"]) == len(repeated)
    assert config["methodConfig"][0]["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]


async def test_a_server_that_is_not_there_is_one_clear_error() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with channel.open_aio(f"http://127.0.0.1:{port}", None, "test") as opened:
        with pytest.raises(errors.Unavailable, match=f"127.0.0.1:{port} does not answer"):
            await system.SystemServiceStub(opened).GetServerInfo(INFO, timeout=5)


async def test_a_stream_of_answers_ends_with_our_error(address: str, script: Script) -> None:
    async with channel.open_aio(address, StaticToken("t"), "test") as opened:
        script.last_words = errors.CursorExpired("begin again")
        call = queues.QueueServiceStub(opened).WatchAttempts(queues.WatchAttemptsRequest())
        for _ in range(3):
            assert isinstance(await call.read(), queues.WatchAttemptsResponse)
        with pytest.raises(errors.CursorExpired):
            await call.read()
    assert script.deadlines == [None]
    assert script.seen[0]["authorization"] == "Bearer t"


async def test_a_session_reads_and_writes_both_ways(address: str, script: Script) -> None:
    async with channel.open_aio(address, StaticToken("t"), "agent", dispatch=True) as opened:
        call = agents.DispatchServiceStub(opened).Session()
        for _ in range(3):
            await call.write(agents.SessionRequest())
            assert isinstance(await call.read(), agents.SessionResponse)
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def test_writing_to_a_session_that_was_refused_says_why(address: str, script: Script) -> None:
    script.failures = [errors.SessionSuperseded("another took over")]
    async with channel.open_aio(address, None, "agent") as opened:
        call = agents.DispatchServiceStub(opened).Session()
        with pytest.raises(errors.SessionSuperseded):
            await call.read()
        with pytest.raises(errors.SessionSuperseded):
            await call.write(agents.SessionRequest())


async def test_a_session_can_be_given_up(address: str, script: Script) -> None:
    async with channel.open_aio(address, None, "agent") as opened:
        call = agents.DispatchServiceStub(opened).Session()
        await call.write(agents.SessionRequest())
        await call.read()
        assert call.cancel()
        assert call.cancelled()
        assert call.done()


def test_a_blocking_channel_behaves_the_same(far_address: str, script: Script) -> None:
    with channel.open_sync(f"http://{far_address}", StaticToken("t0"), "courier/9") as opened:
        stub = system.SystemServiceStub(opened)
        script.failures = [grpc.StatusCode.UNAVAILABLE]
        assert stub.GetServerInfo(INFO).service == "scripted"
        assert script.seen[-1]["authorization"] == "Bearer t0"
        assert script.seen[-1]["batuta-client"] == "courier/9"
        assert 15 < (script.deadlines[-1] or 0) <= 20.5
        script.failures = [errors.TaskNotFound("no task", task_id="t1")]
        with pytest.raises(errors.TaskNotFound):
            stub.GetServerInfo(INFO)


def test_a_blocking_stream_ends_with_our_error(far_address: str, script: Script) -> None:
    script.last_words = errors.ShuttingDown("going down")
    with channel.open_sync(far_address, None, "courier") as opened:
        call = queues.QueueServiceStub(opened).WatchAttempts(queues.WatchAttemptsRequest())
        for _ in range(3):
            assert isinstance(next(call), queues.WatchAttemptsResponse)
        with pytest.raises(errors.ShuttingDown):
            next(call)


def test_a_blocking_call_to_nobody_is_one_clear_error() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (
        channel.open_sync(f"127.0.0.1:{port}", None, "test") as opened,
        pytest.raises(errors.Unavailable, match="does not answer"),
    ):
        system.SystemServiceStub(opened).GetServerInfo(INFO, timeout=5)


async def test_agents_look_for_a_dead_link_more_often_than_clients_of_the_api() -> None:
    assert dict(channel.options(dispatch=True))["grpc.keepalive_time_ms"] == 10_000
    assert dict(channel.options())["grpc.keepalive_time_ms"] == 30_000
