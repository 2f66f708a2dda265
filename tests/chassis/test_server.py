"""The way of a call through a real server: deadline, caller, rules, errors, health, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from batuta_chassis.caller import Caller, current_caller
from batuta_chassis.contract import contract
from batuta_chassis.interceptors.validation import PATTERNS, check
from batuta_chassis.service import Service
from batuta_chassis.settings import Settings, SettingsError
from batuta_chassis.testing import Running, running
from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_proto.system import v1 as system
from batuta_proto.types import v1 as types
from batuta_proto.users import v1 as users
from batuta_rpc import errors
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids
from batuta_rpc.testing import FakeClock, until

Context = Any


class Seen:
    """What the servicers saw and what they shall do."""

    def __init__(self) -> None:
        self.callers: list[Caller] = []
        self.failure: Exception | None = None
        self.closed = asyncio.Event()
        self.steps: list[str] = []


class Users(users.UserServiceServicer):
    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    async def IssueToken(self, request: Any, context: Context) -> users.IssueTokenResponse:
        self.seen.callers.append(current_caller())
        return users.IssueTokenResponse(token=request.access_key)

    async def GetCaller(self, request: Any, context: Context) -> users.GetCallerResponse:
        self.seen.callers.append(current_caller())
        if self.seen.failure is not None:
            raise self.seen.failure
        return users.GetCallerResponse(subject=current_caller().subject)

    async def CreateCredential(self, request: Any, context: Context) -> users.CreateCredentialResponse:
        return users.CreateCredentialResponse()

    async def CreateJoinToken(self, request: Any, context: Context) -> users.CreateJoinTokenResponse:
        return users.CreateJoinTokenResponse()


class Queues(queues.QueueServiceServicer):
    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    async def WatchAttempts(self, request: Any, context: Context) -> AsyncIterator[queues.WatchAttemptsResponse]:
        try:
            yield queues.WatchAttemptsResponse()
            if self.seen.failure is not None:
                raise self.seen.failure
            await asyncio.Event().wait()
        finally:
            self.seen.closed.set()


class Dispatch(agents.DispatchServiceServicer):
    async def Session(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request_iterator: Any, context: Context
    ) -> None:
        async for _ in request_iterator:
            await context.write(agents.SessionResponse())


@pytest.fixture
def seen() -> Seen:
    return Seen()


def build_with(seen: Seen) -> Any:
    async def drained() -> None:
        seen.steps.append("drained")

    async def stopped() -> None:
        seen.steps.append("stopped")

    def build(settings: Settings, clock: Clock, ids: Ids) -> Service:
        return Service(
            name="scripted",
            servicers=(
                (users.add_UserServiceServicer_to_server, cast("Any", Users)(seen), "batuta.users.v1.UserService"),
                (queues.add_QueueServiceServicer_to_server, cast("Any", Queues)(seen), "batuta.queues.v1.QueueService"),
                (agents.add_DispatchServiceServicer_to_server, Dispatch(), "batuta.agents.v1.DispatchService"),
            ),
            on_drain=drained,
            on_stop=[stopped],
            capabilities=["one"],
            dispatch_endpoint=f"{settings.host}:{settings.port}",
        )

    return build


@pytest.fixture
async def service(seen: Seen, tmp_path: Path) -> AsyncGenerator[Running]:
    async with running(build_with(seen), tmp_path, service="scripted") as started:
        yield started


def caller_of(channel: grpc.aio.Channel) -> Any:
    return users.UserServiceStub(channel).GetCaller(users.GetCallerRequest())


async def test_the_servicer_knows_who_calls(service: Running, seen: Seen) -> None:
    answer = await caller_of(service.channel("member", subject="ada"))
    assert answer.subject == "ada"
    assert seen.callers[0].roles == {"member"}


async def test_a_public_method_needs_no_token_and_knows_nobody(service: Running, seen: Seen) -> None:
    request = users.IssueTokenRequest(access_key="k", secret_key="s")
    await users.UserServiceStub(service.channel()).IssueToken(request)
    assert seen.callers[0].subject == ""


async def test_without_a_token_with_a_bad_one_or_an_old_one_nobody_comes_in(seen: Seen, tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(build_with(seen), tmp_path, clock=clock) as service:
        with pytest.raises(errors.TokenMissing, match="batuta init"):
            await caller_of(service.channel())
        with pytest.raises(errors.TokenInvalid):
            await caller_of(service.channel(token="made up"))
        token = service.tokens.of("viewer", ttl=timedelta(minutes=1))
        await caller_of(service.channel(token=token))
        clock.advance(61)
        with pytest.raises(errors.TokenExpired):
            await caller_of(service.channel(token=token))


async def test_a_higher_role_includes_the_lower_and_not_the_other_way_round(service: Running) -> None:
    for role in ("viewer", "member", "admin", "agent", "service"):
        await caller_of(service.channel(role))
    request = users.CreateJoinTokenRequest()
    await users.UserServiceStub(service.channel("admin")).CreateJoinToken(request)
    for role in ("member", "viewer", "agent", "service"):
        with pytest.raises(errors.RoleMissing, match="is for admin"):
            await users.UserServiceStub(service.channel(role)).CreateJoinToken(request)


async def test_streams_ask_for_the_role_too(service: Running) -> None:
    with pytest.raises(errors.RoleMissing, match="is for agent"):
        await agents.DispatchServiceStub(service.channel("member")).Session().read()
    with pytest.raises(errors.TokenMissing):
        await queues.QueueServiceStub(service.channel()).WatchAttempts(queues.WatchAttemptsRequest()).read()


async def test_every_method_of_the_contract_refuses_a_call_without_a_token(service: Running) -> None:
    """Whether it is served here or not: an answer must not depend on who asks without a name."""
    async with grpc.aio.insecure_channel(service.address) as raw:
        for rule in contract().rules:
            if rule.public or rule.client_streaming or rule.server_streaming:
                continue
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await raw.unary_unary(rule.name)(b"", timeout=5)
            assert caught.value.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED), rule.name


def test_every_method_has_a_rule_and_none_is_public_with_roles() -> None:
    rules = contract().rules
    assert len(rules) > 30
    assert [rule.name for rule in rules if bool(rule.admitted) == rule.public] == []


async def test_a_unary_call_without_a_deadline_is_refused(service: Running) -> None:
    async with grpc.aio.insecure_channel(service.address) as raw:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await system.SystemServiceStub(raw).GetServerInfo(system.GetServerInfoRequest())
    assert errors.from_grpc(caught.value).reason == "DEADLINE_MISSING"


async def test_a_request_that_breaks_rules_names_every_field(service: Running) -> None:
    stub = users.UserServiceStub(service.channel())
    with pytest.raises(errors.FieldViolation, match="access_key") as caught:
        await stub.IssueToken(users.IssueTokenRequest(secret_key="s" * 300))
    assert [field for field, _ in caught.value.field_violations] == ["access_key", "secret_key"]
    request = users.CreateCredentialRequest(roles=[types.ROLE_VIEWER, types.ROLE_SERVICE])
    with pytest.raises(errors.FieldViolation) as caught:
        await users.UserServiceStub(service.channel("admin")).CreateCredential(request)
    assert caught.value.field_violations[0][0] == "roles[1]"


def test_broken_rules_are_told_in_words_once_for_each_field() -> None:
    rule = contract().rule("/batuta.queues.v1.QueueService/CreateQueue")
    assert rule is not None
    for name, words in (
        ("", "must not be empty"),
        (" a", "must not begin or end with a blank"),
        ("q" * 300, "at most"),
    ):
        with pytest.raises(errors.FieldViolation) as caught:
            check(rule, queues.CreateQueueRequest(display_name=name, request_id="r" * 16).SerializeToString())
        [text] = [text for field, text in caught.value.field_violations if field == "display_name"]
        assert words in text


def test_every_pattern_of_the_contract_has_words() -> None:
    protos = Path(__file__).parents[2] / "protos" / "batuta"
    found = {
        json.loads(written)
        for path in protos.rglob("*.proto")
        for written in re.findall(r"pattern(?:: | = )(\".*?\")(?=[,;\s])", path.read_text())
    }
    assert found == set(PATTERNS)


async def test_rules_are_checked_on_every_message_of_a_stream(service: Running) -> None:
    call = agents.DispatchServiceStub(service.channel("agent")).Session()
    good = agents.SessionRequest(goodbye=agents.Goodbye())
    await call.write(good)
    await call.read()
    await call.write(agents.SessionRequest(hello=agents.Hello()))
    with pytest.raises(errors.FieldViolation) as caught:
        await call.read()
    assert caught.value.field_violations


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe"])
async def test_bytes_that_are_no_message_get_a_clean_answer(service: Running, raw: bytes) -> None:
    async with grpc.aio.insecure_channel(service.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/batuta.users.v1.UserService/IssueToken")(raw, timeout=5)
    error = errors.from_grpc(caught.value)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_VIOLATION")


async def test_the_token_is_checked_before_the_request_is_read(service: Running) -> None:
    async with grpc.aio.insecure_channel(service.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/batuta.users.v1.UserService/CreateCredential")(b"\xff\xff\xff", timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_an_error_of_a_servicer_arrives_with_its_details(service: Running, seen: Seen) -> None:
    seen.failure = errors.QueueNotFound("no queue", resource=("queue", "gpu"), name="gpu")
    with pytest.raises(errors.QueueNotFound) as caught:
        await caller_of(service.channel("viewer"))
    assert (caught.value.resource, caught.value.metadata) == (("queue", "gpu"), {"name": "gpu"})


async def test_a_fault_of_ours_tells_the_caller_an_incident_and_the_log_the_rest(
    service: Running, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    seen.failure = ZeroDivisionError("the secret is xyzzy")
    with pytest.raises(errors.Bug) as caught:
        await caller_of(service.channel("viewer"))
    assert "xyzzy" not in caught.value.message
    record = next(record for record in caplog.records if caught.value.metadata["incident"] in record.getMessage())
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


async def test_a_stream_that_fails_after_its_first_answer_ends_with_its_error(service: Running, seen: Seen) -> None:
    seen.failure = errors.SlowConsumer("too slow")
    call = queues.QueueServiceStub(service.channel("service")).WatchAttempts(queues.WatchAttemptsRequest())
    assert isinstance(await call.read(), queues.WatchAttemptsResponse)
    with pytest.raises(errors.SlowConsumer):
        await call.read()


async def test_a_caller_who_leaves_a_stream_ends_its_servicer_at_once(service: Running, seen: Seen) -> None:
    call = queues.QueueServiceStub(service.channel("service")).WatchAttempts(queues.WatchAttemptsRequest())
    await call.read()
    call.cancel()
    await asyncio.wait_for(seen.closed.wait(), 10)


async def test_an_unknown_method_says_so(service: Running) -> None:
    channel = service.channel("admin")
    with pytest.raises(errors.MethodUnknown, match="NoSuchThing"):
        await channel.unary_unary("/batuta.users.v1.UserService/NoSuchThing")(b"", timeout=5)


async def test_every_service_says_what_it_is(service: Running) -> None:
    info = await system.SystemServiceStub(service.channel()).GetServerInfo(system.GetServerInfoRequest())
    assert (info.service, list(info.capabilities), info.dispatch_endpoint) == ("scripted", ["one"], service.address)
    assert info.limits.message_bytes == 16 * 1024 * 1024


async def test_health_has_an_entry_per_service_and_the_empty_name(service: Running) -> None:
    async with grpc.aio.insecure_channel(service.address) as raw:
        stub: Any = health_pb2_grpc.HealthStub(raw)
        for name in ("", "batuta.users.v1.UserService", "batuta.system.v1.SystemService"):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("on", [True, False])
async def test_reflection_is_there_only_when_it_is_switched_on(seen: Seen, tmp_path: Path, on: bool) -> None:
    async with (
        running(build_with(seen), tmp_path, reflection=on) as service,
        grpc.aio.insecure_channel(service.address) as raw,
    ):
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast("Any", raw))
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="*")]))
        names: list[str] = []
        with contextlib.suppress(grpc.aio.AioRpcError):
            async for answer in call:
                names = [one.name for one in answer.list_services_response.service]
    assert ("batuta.users.v1.UserService" in names) is on


async def test_the_end_is_announced_then_drained_then_everything_is_closed(seen: Seen, tmp_path: Path) -> None:
    async with running(build_with(seen), tmp_path) as service, grpc.aio.insecure_channel(service.address) as raw:
        stub: Any = health_pb2_grpc.HealthStub(raw)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=""))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        stopping = asyncio.create_task(service.process.stop(grace=5))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        await stopping
    assert seen.steps == ["drained", "stopped"]


async def test_a_port_that_is_taken_is_one_clear_error(service: Running, seen: Seen, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the port is taken"):
        async with running(build_with(seen), tmp_path / "other", port=service.settings.port):
            pass
    assert seen.steps == []


async def test_each_call_leaves_one_line_for_the_operator(service: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="batuta_chassis.access")
    await caller_of(service.channel("viewer", subject="ada"))
    with pytest.raises(errors.TokenMissing):
        await caller_of(service.channel())
    access = "batuta_chassis.access"
    # The line is written after the answer has gone.
    await until(lambda: len([record for record in caplog.records if record.name == access]) == 2)
    lines = [vars(record) for record in caplog.records if record.name == access]
    assert [(line["caller"], line["code"], line["reason"]) for line in lines] == [
        ("ada", "OK", ""),
        ("", "UNAUTHENTICATED", "TOKEN_MISSING"),
    ]
    assert lines[0]["method"] == "/batuta.users.v1.UserService/GetCaller"


def test_the_log_is_one_json_object_per_line() -> None:
    from batuta_chassis.logs import JsonFormatter

    record = logging.LogRecord("x", logging.INFO, "f", 1, "hello %s", ("you",), None)
    record.__dict__["code"] = "OK"
    line = json.loads(JsonFormatter().format(record))
    assert (line["message"], line["code"], line["level"]) == ("hello you", "OK", "INFO")
