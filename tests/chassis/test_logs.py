"""The lines of the log: every call with its request, trace, caller and end; nothing of a trace is lost on the way."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any, cast

import grpc.aio
import pytest
from sqlalchemy import text

from batuta_chassis.database import Database, sqlite_url
from batuta_chassis.logs import configure
from batuta_chassis.service import Service
from batuta_chassis.settings import Settings, SettingsError
from batuta_chassis.testing import Running, running
from batuta_chassis.unit import after_commit
from batuta_proto.users import v1 as users
from batuta_rpc import errors, trace
from batuta_rpc.clock import Clock, SystemClock
from batuta_rpc.ids import Ids
from batuta_rpc.trace import Span

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_log = logging.getLogger("tests.logs")


class Users(users.UserServiceServicer):
    async def GetCaller(self, request: Any, context: Any) -> users.GetCallerResponse:
        _log.info("inside", extra={"seen": trace.trace_parent.get()})
        if "fail" in dict(context.invocation_metadata()):
            raise ZeroDivisionError("no")
        return users.GetCallerResponse()


def build(_settings: Settings, _clock: Clock, _ids: Ids) -> Service:
    servicer = (users.add_UserServiceServicer_to_server, cast("Any", Users)(), "batuta.users.v1.UserService")
    return Service("scripted", [servicer])


@pytest.fixture
def lines() -> Iterator[Any]:
    """What the log says from here on, as objects."""
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers[:], root.level
    configure("INFO", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:], _ = before[0], root.setLevel(before[1])


@pytest.fixture
async def service(tmp_path: Path) -> AsyncGenerator[Running]:
    async with running(build, tmp_path, service="scripted") as started:
        yield started


async def called(service: Running, *metadata: tuple[str, str]) -> None:
    stub = users.UserServiceStub(service.channel("member", subject="ada"))
    await cast("Any", stub).GetCaller(users.GetCallerRequest(), metadata=metadata)


def of_call(found: list[dict[str, Any]]) -> dict[str, Any]:
    return next(line for line in found if line.get("method", "").endswith("GetCaller"))


async def test_a_call_is_one_line_with_all_that_one_asks_for(service: Running, lines: Any) -> None:
    with trace.using(GIVEN):
        await called(service, ("x-request-id", "mine-1"))
    line = of_call(lines())
    assert line["method"] == "/batuta.users.v1.UserService/GetCaller"
    assert (line["caller"], line["code"], line["reason"], line["level"]) == ("ada", "OK", "", "INFO")
    assert line["millis"] >= 0
    assert (line["request_id"], line["trace_id"]) == ("mine-1", trace.trace_id(GIVEN))
    assert line["time"].endswith("+00:00")


async def test_what_a_servicer_logs_belongs_to_its_call(service: Running, lines: Any) -> None:
    await called(service)
    inside, line = next(each for each in lines() if each["message"] == "inside"), of_call(lines())
    assert inside["request_id"] == line["request_id"]
    assert inside["trace_id"] == line["trace_id"] == trace.trace_id(inside["seen"])


async def test_two_calls_have_two_ids(service: Running, lines: Any) -> None:
    for _ in range(2):
        await called(service)
    found = [line for line in lines() if line.get("method", "").endswith("GetCaller")]
    assert len({line["request_id"] for line in found}) == 2
    assert len({line["trace_id"] for line in found}) == 2


@pytest.mark.parametrize(
    ("key", "value"), [("traceparent", "00-zz"), ("x-request-id", 'a b"c'), ("x-request-id", "r" * 65)]
)
async def test_ids_that_cannot_be_read_are_replaced(service: Running, lines: Any, key: str, value: str) -> None:
    async with grpc.aio.insecure_channel(service.address) as raw:
        stub: Any = users.UserServiceStub(raw)
        token = f"Bearer {service.tokens.of('member')}"
        await stub.GetCaller(users.GetCallerRequest(), timeout=5, metadata=((key, value), ("authorization", token)))
    line = of_call(lines())
    assert len(line["trace_id"]) == 32
    assert len(line["request_id"]) == 32
    assert value not in json.dumps(line)


async def test_a_refused_call_and_a_fault_say_why_with_the_same_ids(service: Running, lines: Any) -> None:
    with pytest.raises(errors.TokenMissing):
        await cast("Any", users.UserServiceStub(service.channel())).GetCaller(users.GetCallerRequest())
    refused = of_call(lines())
    assert (refused["code"], refused["reason"], refused["caller"]) == ("UNAUTHENTICATED", "TOKEN_MISSING", "")
    with pytest.raises(errors.Bug) as caught:
        await called(service, ("fail", "1"), ("x-request-id", "broken-1"))
    of_fault = [line for line in lines() if line.get("request_id") == "broken-1"]
    assert [line["level"] for line in of_fault] == ["INFO", "ERROR", "WARNING"]
    assert caught.value.metadata["incident"] in of_fault[1]["message"]
    assert "ZeroDivisionError" in of_fault[1]["traceback"]


async def test_a_use_case_in_the_writers_thread_knows_the_trace_of_its_caller(tmp_path: Path) -> None:
    from sqlalchemy import MetaData

    database = Database(sqlite_url(tmp_path / "x.db"), MetaData(), SystemClock())
    traces = [f"00-{number:032x}-b7ad6b7169203331-01" for number in range(1, 9)]
    after: list[str | None] = []

    def use_case(connection: Any) -> str | None:
        connection.execute(text("SELECT 1"))
        after_commit(connection, lambda: after.append(trace.trace_parent.get()))
        return trace.trace_parent.get()

    async def one(own: str) -> str | None:
        with trace.using(own):
            return await database.write(use_case)

    assert await asyncio.gather(*map(one, traces)) == traces
    await database.close()


def test_lines_for_people_are_lines(lines: Any) -> None:
    stream = io.StringIO()
    configure("INFO", stream, form="text")
    with trace.using(GIVEN):
        _log.info("two\nlines \x1b[31m", extra={"queue": "a b", "empty": ""})
    [line] = stream.getvalue().splitlines()
    assert line.endswith(
        f'INFO    two\\nlines \\x1b[31m queue="a b" trace_id={trace.trace_id(GIVEN)} span_id={trace.span_id(GIVEN)}'
    )


def test_settings_of_logs_and_traces_are_checked(tmp_path: Path) -> None:
    for setting, words in (
        ({"log_format": "xml"}, "json or text"),
        ({"log_level": "loud"}, "log_level is"),
        ({"trace_share": 2.0}, "trace_share"),
    ):
        with pytest.raises(SettingsError, match=words):
            Settings("queue", tmp_path, **cast("Any", setting))


class Collected:
    """A tracer that keeps what it is told."""

    def __init__(self, share: bool = True) -> None:
        self.spans: list[Span] = []
        self._share = share

    def wants(self, traceparent: str) -> bool:
        return self._share

    def add(self, span: Span) -> None:
        self.spans.append(span)

    def close(self) -> None:
        """Nothing to send."""


async def test_a_call_is_a_span_below_its_callers(tmp_path: Path) -> None:
    tracer = Collected()

    def traced(settings: Settings, clock: Clock, ids: Ids) -> Service:
        made = build(settings, clock, ids)
        made.tracer = tracer
        return made

    async with running(traced, tmp_path, service="scripted") as service:
        with trace.using(GIVEN):
            await called(service)
        with pytest.raises(errors.TokenMissing):
            await cast("Any", users.UserServiceStub(service.channel())).GetCaller(users.GetCallerRequest())
    good, bad = tracer.spans
    assert good.name == "batuta.users.v1.UserService/GetCaller"
    assert (good.parent, good.kind, good.failed) == (GIVEN, "server", "")
    assert trace.trace_id(good.traceparent) == trace.trace_id(GIVEN)
    assert good.traceparent != GIVEN
    assert good.end >= good.start
    assert good.attributes["batuta.caller"] == "ada"
    assert bad.failed == "TOKEN_MISSING"
