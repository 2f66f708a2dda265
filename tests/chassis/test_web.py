"""The HTTP port: what browsers and curl send reaches the servicers, and what they answer comes back as it should."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2

from batuta_chassis.caller import current_caller
from batuta_chassis.peer import INTRODUCTION, peer_of
from batuta_chassis.service import Service
from batuta_chassis.settings import Settings, SettingsError
from batuta_chassis.testing import Running, running
from batuta_chassis.web.terms import frame
from batuta_chassis.web.testing import JSON, Answer, HttpClient
from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types
from batuta_proto.users import v1 as users
from batuta_rpc import errors
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids

USERS = "/batuta.users.v1.UserService"
WATCH = "/batuta.queues.v1.QueueService/WatchAttempts"
PROTO = "application/proto"
STREAM = "application/connect+json"
WEB = "application/grpc-web+proto"


class Seen:
    """What the servicers saw and what they shall do."""

    def __init__(self) -> None:
        self.peers: list[str] = []
        self.remaining: list[float | None] = []
        self.metadata: dict[str, Any] = {}
        self.failure: Exception | None = None
        self.endless = False
        self.closed = asyncio.Event()


class Users(users.UserServiceServicer):
    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    async def GetCaller(self, request: Any, context: Any) -> users.GetCallerResponse:
        self.seen.peers.append(peer_of(context))
        self.seen.remaining.append(context.time_remaining())
        self.seen.metadata = dict(context.invocation_metadata())
        if self.seen.failure is not None:
            raise self.seen.failure
        return users.GetCallerResponse(subject=current_caller().subject)

    async def GetUser(self, request: Any, context: Any) -> users.GetUserResponse:
        made = users.User(
            name=request.user_name, role=types.ROLE_ADMIN, create_time=Timestamp(seconds=1_700_000_000, nanos=5_000_000)
        )
        return users.GetUserResponse(user=made)

    async def IssueToken(self, request: Any, context: Any) -> users.IssueTokenResponse:
        self.seen.peers.append(peer_of(context))
        return users.IssueTokenResponse(token=request.access_key)


class Queues(queues.QueueServiceServicer):
    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    async def WatchAttempts(self, request: Any, context: Any) -> AsyncIterator[queues.WatchAttemptsResponse]:
        try:
            yield queues.WatchAttemptsResponse()
            if self.seen.failure is not None:
                raise self.seen.failure
            if self.seen.endless:
                await asyncio.Event().wait()
        finally:
            self.seen.closed.set()


@pytest.fixture
def seen() -> Seen:
    return Seen()


def build_with(seen: Seen) -> Any:
    def build(settings: Settings, clock: Clock, ids: Ids) -> Service:
        return Service(
            name="scripted",
            servicers=(
                (users.add_UserServiceServicer_to_server, cast("Any", Users)(seen), "batuta.users.v1.UserService"),
                (queues.add_QueueServiceServicer_to_server, cast("Any", Queues)(seen), "batuta.queues.v1.QueueService"),
            ),
        )

    return build


@pytest.fixture
async def service(seen: Seen, tmp_path: Path) -> AsyncGenerator[Running]:
    async with running(build_with(seen), tmp_path, service="scripted", http_port=0) as started:
        yield started


def http(service: Running, *roles: str, subject: str = "ada") -> HttpClient:
    """A client; its requests carry a token with these roles."""
    return HttpClient(service.settings.http_endpoint, service.tokens.of(*roles, subject=subject) if roles else None)


async def test_a_call_by_json_is_answered_by_json(service: Running) -> None:
    answer = await http(service, "member").call(f"{USERS}/GetCaller")
    assert (answer.status, answer.headers["content-type"]) == (200, JSON)
    assert answer.json == {"subject": "ada"}


async def test_a_call_by_protobuf_is_answered_by_protobuf(service: Running) -> None:
    answer = await http(service, "member").send("POST", f"{USERS}/GetCaller", b"", content_type=PROTO)
    assert (answer.status, answer.headers["content-type"]) == (200, PROTO)
    assert users.GetCallerResponse.FromString(answer.body).subject == "ada"


async def test_json_has_times_enums_and_long_numbers_as_the_protos_mapping_says(service: Running) -> None:
    answer = await http(service, "admin").call(f"{USERS}/GetUser", {"userName": "bo"})
    assert answer.json["user"]["createTime"] == "2023-11-14T22:13:20.005Z"
    assert answer.json["user"]["role"] == "ROLE_ADMIN"
    info = await http(service).call("/batuta.system.v1.SystemService/GetServerInfo")
    assert info.json["limits"]["messageBytes"] == str(16 << 20)


async def test_names_of_fields_are_read_in_both_spellings(service: Running) -> None:
    answer = await http(service, "admin").call(f"{USERS}/GetUser", {"user_name": "bo"})
    assert answer.json["user"]["name"] == "bo"


async def test_what_changes_nothing_can_be_asked_by_get_and_the_rest_cannot(service: Running) -> None:
    client = http(service, "admin")
    answer = await client.send("GET", f"{USERS}/GetUser?connect=v1&encoding=json&message=%7B%22userName%22:%22bo%22%7D")
    assert answer.json["user"]["name"] == "bo"
    packed = base64.urlsafe_b64encode(users.GetUserRequest(user_name="bo").SerializeToString()).decode().rstrip("=")
    answer = await client.send("GET", f"{USERS}/GetUser?encoding=proto&base64=1&message={packed}")
    assert users.GetUserResponse.FromString(answer.body).user.name == "bo"
    refused = await client.send("GET", f"{USERS}/IssueToken?message=%7B%7D")
    assert (refused.status, refused.headers["allow"]) == (405, "POST")
    assert (await client.send("GET", WATCH)).status == 405


@pytest.mark.parametrize("query", ["message=%7B%7D&encoding=xml", "connect=v2", "message=a&base64=1", "a;b=c", "=%"])
async def test_a_query_that_cannot_be_read_is_refused(service: Running, query: str) -> None:
    answer = await http(service, "admin").send("GET", f"{USERS}/GetUser?{query}")
    assert (answer.status, answer.json["code"]) == (400, "invalid_argument")


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (b'{"userNames": "x"}', "userNames", "there is no such field; there are: userName"),
        (b'{"userName": 7}', "user_name", "expected string"),
    ],
)
async def test_a_bad_json_body_names_its_field(service: Running, body: bytes, field: str, words: str) -> None:
    answer = await http(service, "admin").send("POST", f"{USERS}/GetUser", body, content_type=JSON)
    assert (answer.status, answer.json["code"], answer.reason) == (400, "invalid_argument", "FIELD_VIOLATION")
    violation = answer.json["details"][1]["debug"]["fieldViolations"][0]
    assert violation["field"] == field
    assert words in violation["description"]


async def test_a_field_deep_in_a_bad_body_is_named_by_its_path(service: Running) -> None:
    body = {"entries": [{}, {"envelope": {"priority": "high"}}]}
    answer = await http(service, "service").call("/batuta.queues.v1.QueueService/BatchSubmitEntries", body)
    assert "entries[1].envelope.priority" in answer.json["message"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'"x"', b"[" * 5000])
async def test_a_body_that_is_no_json_object_is_refused(service: Running, body: bytes) -> None:
    answer = await http(service, "admin").send("POST", f"{USERS}/GetUser", body, content_type=JSON)
    assert (answer.status, answer.reason) == (400, "FIELD_VIOLATION")


async def test_a_request_that_breaks_a_rule_names_the_field_as_it_does_over_grpc(service: Running) -> None:
    answer = await http(service).call(f"{USERS}/IssueToken", {"secretKey": "s" * 300})
    violations = answer.json["details"][1]["debug"]["fieldViolations"]
    assert [each["field"] for each in violations] == ["access_key", "secret_key"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.TaskNotFound("no such task", resource=("task", "7"), task_id="7"), 404, "not_found"),
        (errors.QueueFull("full", retry_delay=2.0), 429, "resource_exhausted"),
        (errors.StaleAttempt("stale"), 400, "failed_precondition"),
        (errors.EtagMismatch("changed"), 409, "aborted"),
        (errors.ShuttingDown("later"), 503, "unavailable"),
        (ValueError("a fault of ours"), 500, "internal"),
    ],
)
async def test_an_error_comes_back_with_its_details(
    service: Running, seen: Seen, error: Exception, status: int, code: str
) -> None:
    seen.failure = error
    answer = await http(service, "member").call(f"{USERS}/GetCaller")
    assert (answer.status, answer.json["code"]) == (status, code)
    first = answer.json["details"][0]
    info = error_details_pb2.ErrorInfo.FromString(base64.b64decode(first["value"] + "=="))
    assert (first["type"], info.domain) == ("google.rpc.ErrorInfo", "batuta")
    assert info.reason == (error.reason if isinstance(error, errors.RpcError) else "BUG")
    assert first["debug"]["reason"] == info.reason


async def test_s26_a_call_that_names_no_deadline_gets_sixty_seconds_and_one_that_does_gets_its_own(
    service: Running, seen: Seen
) -> None:
    client = http(service, "member")
    await client.call(f"{USERS}/GetCaller")
    await client.call(f"{USERS}/GetCaller", connect_timeout_ms="5000")
    default, own = cast("list[float]", seen.remaining)
    assert 50 < default < 61
    assert 3 < own < 6
    assert (await client.call(f"{USERS}/GetCaller", connect_timeout_ms="0")).json["code"] == "deadline_exceeded"
    assert (await client.call(f"{USERS}/GetCaller", connect_timeout_ms="soon")).json["code"] == "invalid_argument"


async def test_the_trace_and_the_clients_name_go_along_and_other_headers_do_not(service: Running, seen: Seen) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    sent = {"traceparent": trace, "batuta_client": "page/1", "x_other": "1", "cookie": "a=b"}
    await http(service, "member").call(f"{USERS}/GetCaller", **sent)
    assert seen.metadata["traceparent"] == trace
    assert seen.metadata["batuta-client"] == "page/1"
    assert not {"x-other", "cookie"} & seen.metadata.keys()


async def test_the_servicer_sees_the_clients_address_and_nobody_can_claim_another(service: Running, seen: Seen) -> None:
    client = http(service, "member")
    exchange = await client.open(
        "POST", f"{USERS}/GetCaller", content_type=JSON, batuta_http_peer="guess ipv4:9.9.9.9:9"
    )
    port = cast("Any", exchange)._writer.get_extra_info("sockname")[1]
    await exchange.head()
    exchange.leave()
    assert seen.peers == [f"ipv4:127.0.0.1:{port}"]
    stub = users.UserServiceStub(service.channel("member"))
    await stub.GetCaller(users.GetCallerRequest(), metadata=((INTRODUCTION, "guess ipv4:9.9.9.9:9"),))
    assert seen.peers[1].startswith("ipv4:127.0.0.1:")


async def test_a_stream_comes_as_frames_and_says_at_its_end_that_all_is_well(service: Running) -> None:
    answer = await http(service, "service").send("POST", WATCH, frame(0, b"{}"), content_type=STREAM)
    assert (answer.status, answer.headers["content-type"]) == (200, STREAM)
    assert answer.frames == [(0, b"{}"), (2, b"{}")]


async def test_a_stream_that_fails_says_so_in_its_last_frame(service: Running, seen: Seen) -> None:
    seen.failure = errors.CursorExpired("begin anew")
    answer = await http(service, "service").send("POST", WATCH, frame(0, b""), content_type="application/connect+proto")
    assert [flags for flags, _ in answer.frames] == [0, 2]
    said = json.loads(answer.frames[-1][1])["error"]
    assert said["details"][0]["debug"]["reason"] == "CURSOR_EXPIRED"


async def test_a_stream_ends_on_the_server_when_its_client_leaves(service: Running, seen: Seen) -> None:
    seen.endless = True
    exchange = await http(service, "service").open("POST", WATCH, frame(0, b"{}"), content_type=STREAM)
    await exchange.head()
    assert await anext(exchange.parts()) == frame(0, b"{}")
    assert not seen.closed.is_set()
    exchange.leave()
    await asyncio.wait_for(seen.closed.wait(), 10)


async def test_an_open_stream_does_not_keep_the_service_from_ending(seen: Seen, tmp_path: Path) -> None:
    seen.endless = True
    async with running(build_with(seen), tmp_path, service="scripted", http_port=0) as service:
        exchange = await http(service, "service").open("POST", WATCH, frame(0, b"{}"), content_type=STREAM)
        await exchange.head()
    said = b"".join([part async for part in exchange.parts()])
    assert b'"unavailable"' in said or b'"canceled"' in said


@pytest.mark.parametrize(
    "body",
    [b"", b"\0\0", b"\0\0\0\0\5{}", frame(0, b"{}") * 2, frame(2, b"{}"), frame(1, b"x"), frame(0, b"nonsense")],
)
async def test_frames_that_make_no_request_are_refused(service: Running, body: bytes) -> None:
    answer = await http(service, "service").send("POST", WATCH, body, content_type=STREAM)
    assert answer.status == 200
    ((flags, said),) = answer.frames
    assert flags == 2
    assert json.loads(said)["error"]["code"] in ("invalid_argument", "unimplemented")


async def test_grpc_web_calls_and_streams(service: Running, seen: Seen) -> None:
    answer = await http(service, "member").send("POST", f"{USERS}/GetCaller", frame(0, b""), content_type=WEB)
    (_, raw), (flags, trailers) = answer.frames
    assert users.GetCallerResponse.FromString(raw).subject == "ada"
    assert (flags, trailers) == (0x80, b"grpc-status: 0\r\n")
    streamed = await http(service, "service").send("POST", WATCH, frame(0, b""), content_type="application/grpc-web")
    assert [flags for flags, _ in streamed.frames] == [0, 0x80]


async def test_a_grpc_web_error_has_its_status_in_the_trailers(service: Running, seen: Seen) -> None:
    seen.failure = errors.TaskNotFound("no “such” task", task_id="7")
    answer = await http(service, "member").send("POST", f"{USERS}/GetCaller", frame(0, b""), content_type=WEB)
    ((_, trailers),) = answer.frames
    lines = dict(line.split(": ", 1) for line in trailers.decode().splitlines())
    assert lines["grpc-status"] == "5"
    assert lines["grpc-message"] == "no %E2%80%9Csuch%E2%80%9D task"
    status = status_pb2.Status.FromString(base64.b64decode(lines["grpc-status-details-bin"] + "=="))
    assert errors.from_grpc(cast("Any", Trailing(status))).reason == "TASK_NOT_FOUND"


class Trailing(Exception):
    """A failed call, as far as `from_grpc` looks at it."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__()
        self._status = status

    def trailing_metadata(self) -> Any:
        return ((errors.DETAILS_KEY, self._status.SerializeToString()),)


async def test_several_requests_share_a_connection(service: Running) -> None:
    client = http(service, "member")
    reader, writer = await asyncio.open_connection(client.host, client.port)
    head = f"GET /healthz HTTP/1.1\r\nhost: {client.host}:{client.port}\r\n\r\n".encode()
    writer.write(head * 3)  # all at once, too
    read = b""
    while read.count(b"ok\n") < 3:
        read += await asyncio.wait_for(reader.read(4096), 10)
    assert read.count(b"200 OK") == 3
    writer.close()


async def test_a_type_that_the_method_does_not_take_is_refused_with_those_that_it_does(service: Running) -> None:
    client = http(service, "service")
    for target, kind in ((f"{USERS}/GetCaller", STREAM), (WATCH, JSON), (WATCH, "text/plain"), (WATCH, "")):
        answer = await client.send("POST", target, b"{}", content_type=kind)
        assert answer.status == 415
        assert kind == "" or kind not in answer.headers["accept-post"]


async def test_health_is_told_to_anybody(service: Running) -> None:
    answer = await http(service).send("GET", "/healthz")
    assert (answer.status, answer.body) == (200, b"ok\n")
    assert (await http(service).send("HEAD", "/healthz")).body == b""


async def test_without_the_setting_there_is_no_http_port(seen: Seen, tmp_path: Path) -> None:
    async with running(build_with(seen), tmp_path, service="scripted") as service:
        assert service.settings.http_endpoint == ""


async def test_an_http_port_that_is_taken_starts_nothing(seen: Seen, service: Running, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="choose another port"):
        async with running(build_with(seen), tmp_path, service="other", http_port=service.settings.http_port):
            raise AssertionError("it started")
    with pytest.raises(SettingsError, match="cannot both be"):
        Settings("api", tmp_path, port=4711, http_port=4711).with_port()


async def test_a_token_that_has_ended_is_told_as_such(service: Running) -> None:
    token = service.tokens.of("member", ttl=timedelta(seconds=-120))
    answer: Answer = await HttpClient(service.settings.http_endpoint, token).call(f"{USERS}/GetCaller")
    assert (answer.status, answer.reason) == (401, "TOKEN_EXPIRED")
    assert answer.headers["www-authenticate"] == "Bearer"
