"""What must not work on the HTTP port, by its number in the list of attacks, and what it costs nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from batuta_chassis.caller import current_caller
from batuta_chassis.service import Service
from batuta_chassis.settings import Settings
from batuta_chassis.testing import Running, running
from batuta_chassis.web.connection import Patience
from batuta_chassis.web.message import Request, Response
from batuta_chassis.web.server import WebServer
from batuta_chassis.web.terms import frame
from batuta_chassis.web.testing import JSON, Answer, HttpClient
from batuta_proto.users import v1 as users
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids
from batuta_rpc.testing import FakeClock, until

CALLER = "/batuta.users.v1.UserService/GetCaller"
LOGIN = "/batuta.users.v1.UserService/IssueToken"
PAGE = "https://page.example"
EVIL = "https://evil.example"


class Users(users.UserServiceServicer):
    async def GetCaller(self, request: Any, context: Any) -> users.GetCallerResponse:
        return users.GetCallerResponse(subject=current_caller().subject)

    async def IssueToken(self, request: Any, context: Any) -> users.IssueTokenResponse:
        return users.IssueTokenResponse(token="t")


def build(settings: Settings, clock: Clock, ids: Ids) -> Service:
    add: Any = users.add_UserServiceServicer_to_server
    return Service(name="scripted", servicers=((add, cast("Any", Users)(), "batuta.users.v1.UserService"),))


@pytest.fixture
async def service(tmp_path: Path) -> AsyncGenerator[Running]:
    settings: dict[str, Any] = {
        "http_port": 0,
        "http_origins": f"{PAGE}, https://b.example",
        "http_names": "box.example",
    }
    async with running(build, tmp_path, service="scripted", **settings) as started:
        yield started


@pytest.fixture
def client(service: Running) -> HttpClient:
    """With a member's token."""
    return HttpClient(service.settings.http_endpoint, service.tokens.of("member"))


STRANGE = """
//healthz /healthz/ /x/healthz /%68ealthz /healthz%00 /healthz;x /healthz?x=1 /./healthz /../healthz /x/../healthz
/HEALTHZ /healthz%2f /healthz\\ http://127.0.0.1/healthz * / /openapi.json/ /openapi.json?x /openapi%2ejson
//batuta.users.v1.UserService/GetCaller /batuta.users.v1.UserService/GetCaller/ /batuta.users.v1.UserService/GetCaller#x
/x/batuta.users.v1.UserService/GetCaller /batuta.users.v1.UserService/GetCaller;x /batuta.users.v1.UserService//GetCaller
/batuta.users.v1.UserService/GetCaller?x=1 /batuta.users.v1.userservice/getcaller /batuta.users.v1.UserService%2fGetCaller
/batuta.users.v1.UserService/%47etCaller /batuta.users.v1.UserService/../UserService/GetCaller
/grpc.health.v1.Health/Check /grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo
"""  # noqa: E501


@pytest.mark.parametrize("path", STRANGE.split())
async def test_s4_a_path_is_taken_letter_by_letter(client: HttpClient, path: str) -> None:
    for method in ("GET", "POST"):
        answer = await client.send(method, path, b"{}" if method == "POST" else b"", content_type=JSON)
        assert answer.status in (400, 404, 405), (method, answer)


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "HEAD", "PUT", "TRACE", "OPTIONS", "post", "CONNECT", "BREW"])
@pytest.mark.parametrize("path", [CALLER, LOGIN])
async def test_s4_no_other_verb_calls_a_method(client: HttpClient, method: str, path: str) -> None:
    answer = await client.send(method, path, content_type=JSON)
    assert answer.status == 405
    assert "POST" in answer.headers["allow"]


async def test_s20_a_foreign_page_cannot_call_even_what_is_public(client: HttpClient) -> None:
    for kind in (JSON, "text/plain", "application/x-www-form-urlencoded"):
        answer = await client.send("POST", LOGIN, b'{"accessKey":"a","secretKey":"b"}', content_type=kind, origin=EVIL)
        assert (answer.status, answer.json["code"]) == (403, "permission_denied")
        assert "access-control-allow-origin" not in answer.headers
    assert "set-cookie" not in (await client.call(LOGIN, {"accessKey": "a", "secretKey": "b"})).headers


async def test_s21_a_preflight_from_an_evil_origin_gets_no_allow_header(client: HttpClient) -> None:
    for origin in (EVIL, "null", f"{PAGE}.evil.example", PAGE.replace("https", "http"), f"{PAGE}:444", f"x{PAGE}"):
        answer = await client.send("OPTIONS", CALLER, origin=origin, access_control_request_method="POST")
        assert answer.status == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_s21_a_page_on_the_list_may_call(client: HttpClient) -> None:
    allowed = await client.send("OPTIONS", CALLER, origin=PAGE, access_control_request_method="POST")
    assert allowed.status == 204
    assert allowed.headers["access-control-allow-origin"] == PAGE
    assert "authorization" in allowed.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in allowed.headers
    answer = await client.call(CALLER, origin=PAGE)
    assert answer.json == {"subject": "tester"}
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "Origin" in answer.headers["vary"]


async def test_a_page_of_this_very_server_may_call(client: HttpClient) -> None:
    origin = f"http://{client.host}:{client.port}"
    assert (await client.call(CALLER, origin=origin)).status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", "[::2]"])
async def test_s22_another_name_than_ours_on_loopback_is_refused(client: HttpClient, host: str) -> None:
    for path in (CALLER, LOGIN, "/healthz"):
        assert (await client.send("POST", path, b"{}", host=host, content_type=JSON)).status == 403


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "127.0.0.9:80", "[::1]:8482", "LOCALHOST", "box.example"])
async def test_s22_a_name_of_ours_is_answered(client: HttpClient, host: str) -> None:
    assert (await client.send("GET", "/healthz", host=host)).status == 200


@pytest.mark.parametrize(
    "host", ["", "a b", "localhost/", "user@localhost", "localhost:99999999", "localhost, localhost"]
)
async def test_s22_a_host_that_is_none_is_refused(client: HttpClient, host: str) -> None:
    assert (await client.send("GET", "/healthz", host=host)).status == 400


async def test_s23_no_page_may_frame_or_guess_what_is_answered(client: HttpClient) -> None:
    answers: list[Answer] = [
        await client.call(CALLER),
        await client.call(CALLER, host="evil.example"),
        await client.call(CALLER, origin=EVIL),
        await client.call("/nothing"),
        await client.send("GET", "/healthz"),
        await client.send("GET", "/openapi.json"),
        await client.send("POST", CALLER, b"{", content_type=JSON),
    ]
    assert {answer.status for answer in answers} == {200, 403, 404, 400}
    for answer in answers:
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


NESTED = b'{"a":' * 5_000 + b"1" + b"}" * 5_000


@pytest.mark.parametrize(
    ("kind", "body", "headers", "status", "code"),
    [
        ("application/proto", bytes(17 << 20), {}, 429, "resource_exhausted"),
        (JSON, b" " * (5 << 20), {}, 429, "resource_exhausted"),
        (JSON, NESTED, {}, 400, "invalid_argument"),
        ("application/proto", b"\x0b" * 5_000, {}, 400, "invalid_argument"),
        (JSON, b'{"a":[' + b"0," * 1_000_000 + b"0]}", {}, 400, "invalid_argument"),
        (JSON, b"\x1f\x8b\x08", {"content_encoding": "gzip"}, 501, "unimplemented"),
    ],
    ids=["large", "large json", "nested json", "nested", "a million", "gzip"],
)
async def test_s24_a_body_that_is_too_much_gets_a_clean_answer(
    client: HttpClient, kind: str, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = await client.send("POST", CALLER, body, content_type=kind, **headers)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert (await client.call(CALLER)).status == 200


async def test_s24_a_large_body_is_not_read_from_those_without_a_token(service: Running) -> None:
    stranger = HttpClient(service.settings.http_endpoint)
    exchange = await stranger.open("POST", CALLER, b"", content_type=JSON, transfer_encoding="chunked")
    assert (await exchange.head())[0] == 401
    answer = await stranger.send("POST", LOGIN, b'{"accessKey":"' + b"a" * 70_000, content_type=JSON)
    assert (answer.status, answer.reason) == (429, "TOO_LARGE")


async def test_s24_a_body_without_an_end_is_cut_at_the_limit(client: HttpClient, service: Running) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    token = service.tokens.of("member")
    writer.write(
        f"POST {CALLER} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {JSON}\r\nauthorization: Bearer {token}\r\n"
        "transfer-encoding: chunked\r\n\r\n".encode()
    )
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    for _ in range(5):
        writer.write(chunk)
    assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 429")
    writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"
        + b"".join(b"x-%d: 1\r\n" % n for n in range(100_000))
        + b"\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: a\x00b\r\n\r\n",
    ],
    ids=[
        "a hundred thousand headers",
        "a long one",
        "a long path",
        "tls",
        "http2",
        "no host",
        "two",
        "negative",
        "nul",
    ],
)
async def test_s24_a_head_that_is_too_much_or_none_gets_a_clean_answer(client: HttpClient, head: bytes) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(head)
    status = (await asyncio.wait_for(reader.readline(), 10)).split()[1]
    assert status in (b"400", b"431", b"505")
    writer.close()
    assert (await client.call(CALLER)).status == 200


async def test_s35_the_document_is_not_served_where_the_contract_is_not_shown(tmp_path: Path) -> None:
    async with running(build, tmp_path, service="scripted", http_port=0, reflection=False) as service:
        assert (await HttpClient(service.settings.http_endpoint).send("GET", "/openapi.json")).status == 404


# The server by itself, with a clock that only the test moves.

Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HEAD = b"GET / HTTP/1.1\r\nhost: localhost\r\n"


class Serving:
    """A server whose handler does as it is told."""

    def __init__(self, server: WebServer, settings: Settings, clock: FakeClock, started: list[str]) -> None:
        self.server, self.clock, self.started = server, clock, started
        self._settings = settings

    async def connect(self, data: bytes = b"") -> Opened:
        before = self.server.connections
        opened = await asyncio.open_connection("127.0.0.1", self._settings.http_port)
        opened[1].write(data)
        if not before:
            await until(lambda: self.server.connections > 0)
        return opened


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncGenerator[Callable[..., Awaitable[Serving]]]:
    """Starts a server around a handler."""
    running_ones: list[WebServer] = []

    async def start(handler: Any = None, **options: Any) -> Serving:
        clock, started = FakeClock(), list[str]()

        async def answer(request: Request) -> Response:
            started.append(request.path)
            return Response(200, b"fine") if handler is None else await handler(request)

        settings = Settings("test", tmp_path, http_port=0).with_port()
        server = WebServer(answer, clock, **options)
        await server.start(settings)
        running_ones.append(server)
        return Serving(server, settings, clock, started)

    yield start
    for server in running_ones:
        await server.stop()


async def test_s25_a_client_that_says_nothing_or_half_a_head_is_cut_off(serve: Any) -> None:
    served = await serve()
    silent, half = await served.connect(), await served.connect(HEAD)
    await until(lambda: served.server.connections == 2 and served.clock.sleepers == 2)
    served.clock.advance(Patience().head + 1)
    for reader, _ in (silent, half):
        assert await asyncio.wait_for(reader.read(), 10) == b""
    await until(lambda: served.server.connections == 0)
    assert served.started == []


async def test_s25_a_body_that_drips_is_cut_off(serve: Any) -> None:
    async def read(request: Request) -> Response:
        return Response(200, await request.body(1000))

    served = await serve(read)
    reader, writer = await served.connect(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nx")
    await until(lambda: served.started == ["/"] and served.clock.sleepers == 1)
    writer.write(b"x")
    served.clock.advance(Patience().body + 1)
    assert await asyncio.wait_for(reader.read(), 10) == b""
    await until(lambda: served.server.connections == 0)


async def test_s25_a_client_that_does_not_read_is_cut_off(serve: Any) -> None:
    async def endless() -> AsyncGenerator[bytes]:
        while True:
            yield bytes(1 << 20)

    async def stream(request: Request) -> Response:
        return Response(200, endless())

    served = await serve(stream)
    _, writer = await served.connect(HEAD + b"\r\n")
    await until(lambda: served.clock.sleepers == 1)  # all buffers on the way are full
    served.clock.advance(Patience().write + 1)
    await until(lambda: served.server.connections == 0)
    writer.close()


async def test_s25_idle_connections_give_way_to_those_that_ask(serve: Any) -> None:
    served = await serve(connections=20)
    idle = [await served.connect(HEAD) for _ in range(100)]
    for _ in range(5):
        reader, writer = await served.connect(HEAD + b"\r\n")
        assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 200")
        writer.close()
    assert served.server.connections <= 20
    for _, writer in idle:
        writer.close()


async def test_s25_whoever_is_being_served_does_not_give_way(serve: Any) -> None:
    go = asyncio.Event()

    async def slow(request: Request) -> Response:
        await go.wait()
        return Response(200, b"fine")

    served = await serve(slow, connections=2)
    working = [await served.connect(HEAD + b"\r\n") for _ in range(2)]
    await until(lambda: len(served.started) == 2)
    reader, _ = await served.connect(HEAD + b"\r\n")
    with contextlib.suppress(ConnectionResetError):  # our answer may be torn up by what it has sent and nobody read
        assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 503")
    go.set()
    for reader, writer in working:
        assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_s25_a_stream_of_requests_without_an_end_is_no_call(client: HttpClient) -> None:
    """Over HTTP/1.1 a call begins when all of its request is there."""
    exchange = await client.open(
        "POST", "/batuta.logs.v1.LogService/AppendLog", frame(0, b"{}"), content_type="application/connect+json"
    )
    assert (await exchange.head())[0] == 200
    ((flags, said),) = Answer(200, {}, b"".join([part async for part in exchange.parts()])).frames
    assert flags == 2
    assert json.loads(said)["error"]["code"] in ("permission_denied", "unimplemented")
