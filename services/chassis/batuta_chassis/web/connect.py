"""The Connect protocol: unary calls as plain POST or GET, streams as frames with a last one that says how it ended."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qs

from google.rpc.status_pb2 import Status

from batuta_chassis.contract import Rule
from batuta_chassis.web import terms
from batuta_chassis.web.codec import Json
from batuta_chassis.web.inner import Inner
from batuta_chassis.web.message import Failed, Request, Response, as_json
from batuta_rpc.errors import FieldViolation

CODES: dict[int, tuple[str, int]] = {
    1: ("canceled", 499),
    2: ("unknown", 500),
    3: ("invalid_argument", 400),
    4: ("deadline_exceeded", 504),
    5: ("not_found", 404),
    6: ("already_exists", 409),
    7: ("permission_denied", 403),
    8: ("resource_exhausted", 429),
    9: ("failed_precondition", 400),
    10: ("aborted", 409),
    11: ("out_of_range", 400),
    12: ("unimplemented", 501),
    13: ("internal", 500),
    14: ("unavailable", 503),
    15: ("data_loss", 500),
    16: ("unauthenticated", 401),
}
"""gRPC's numbers, and what Connect and HTTP say instead."""
_END = 2
_ASKED = {"base64", "compression", "connect", "encoding", "message"}


class Unary:
    """`POST` of `application/json` or `application/proto`, and `GET` of methods that change nothing."""

    TYPES = ("application/json", "application/proto")

    def __init__(self, inner: Inner, codec: Json) -> None:
        self._inner = inner
        self._codec = codec

    def takes(self, rule: Rule, request: Request) -> bool:
        """Whether the request is in this protocol."""
        if rule.client_streaming or rule.server_streaming:
            return False
        return request.method == "GET" or request.media_type in self.TYPES

    async def answer(self, rule: Rule, request: Request) -> Response:
        """The response of a call. Raises `Failed`, `RpcError` and `BodyTooLarge`."""
        _require_version(request.header("connect-protocol-version"), "1")
        if request.method == "GET":
            as_text, body = _from_query(request.query)
        else:
            terms.require_plain(request.header("content-encoding"))
            as_text = request.media_type == "application/json"
            body = await request.body(terms.body_limit(rule, json=as_text))
        raw = await self._codec.read(rule, body) if as_text else body
        timeout = terms.timeout(rule, request) or 0.0
        answer = await self._inner.unary(rule, raw, request, timeout)
        written = await self._codec.write(rule, answer) if as_text else answer
        return Response(200, written, {"content-type": self.TYPES[0 if as_text else 1]})

    def refuse(self, request: Request, status: Status) -> Response:
        """The response of a call that did not work out."""
        response = as_json(CODES.get(status.code, CODES[2])[1], error(status, self._codec))
        if response.status == 401:
            response.headers["www-authenticate"] = "Bearer"
        return response


class Stream:
    """`POST` of `application/connect+json` or `+proto`, for methods that stream on either side.

    Over HTTP/1.1 the answers begin when the last message of the request is there.
    """

    TYPES = ("application/connect+json", "application/connect+proto")

    def __init__(self, inner: Inner, codec: Json) -> None:
        self._inner = inner
        self._codec = codec

    def takes(self, rule: Rule, request: Request) -> bool:
        """Whether the request is in this protocol."""
        streams = rule.client_streaming or rule.server_streaming
        return streams and request.method == "POST" and request.media_type in self.TYPES

    async def answer(self, rule: Rule, request: Request) -> Response:
        """The response of a call. Raises `Failed`, `RpcError` and `BodyTooLarge`."""
        _require_version(request.header("connect-protocol-version"), "1")
        terms.require_plain(request.header("connect-content-encoding") or request.header("content-encoding"))
        as_text = request.media_type == self.TYPES[0]
        asked = list(terms.frames(await request.body(terms.body_limit(rule, json=as_text))))
        raws = [await self._codec.read(rule, each) for each in asked] if as_text else asked
        answers = self._inner.stream(rule, raws, request, terms.timeout(rule, request))
        return Response(200, self._written(rule, answers, as_text), {"content-type": request.media_type})

    def refuse(self, request: Request, status: Status) -> Response:
        """The response of a call that did not work out: that too is the end of a stream."""
        return Response(200, self._end(status), {"content-type": request.media_type})

    async def _written(self, rule: Rule, answers: AsyncGenerator[bytes], as_text: bool) -> AsyncGenerator[bytes]:
        end = None
        try:
            async with aclosing(answers):
                async for answer in answers:
                    yield terms.frame(0, await self._codec.write(rule, answer) if as_text else answer)
        except Failed as failed:
            end = failed.status
        yield self._end(end)

    def _end(self, status: Status | None) -> bytes:
        said: dict[str, Any] = {} if status is None else {"error": error(status, self._codec)}
        return terms.frame(_END, json.dumps(said).encode())


def error(status: Status, codec: Json) -> dict[str, Any]:
    """An error as Connect writes it: the details as bytes for programs, and once more as JSON for people."""
    details: list[dict[str, Any]] = []
    for detail in status.details:
        kind = detail.type_url.rpartition("/")[2]
        said: dict[str, Any] = {"type": kind, "value": base64.b64encode(detail.value).decode().rstrip("=")}
        shown = codec.detail(kind, detail.value)
        details.append(said if shown is None else {**said, "debug": shown})
    code = CODES.get(status.code, CODES[2])[0]
    return {"code": code, "message": status.message, **({"details": details} if details else {})}


def _require_version(given: str, ours: str) -> None:
    if given not in ("", ours):
        raise FieldViolation(f"this server speaks Connect version 1, not {given[:20]!r}")


def _from_query(query: str) -> tuple[bool, bytes]:
    """Whether the message of a GET is JSON, and the message. Raises `FieldViolation`."""
    try:
        given = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=10)
    except ValueError as error:
        raise FieldViolation(f"the query cannot be read: {error}") from error
    values = {name: each[0] for name, each in given.items() if len(each) == 1}
    if values.keys() != given.keys() or values.keys() - _ASKED:
        raise FieldViolation(f"the query holds each of {', '.join(sorted(_ASKED))} once at most, and nothing else")
    _require_version(values.get("connect", "").removeprefix("v"), "1")
    terms.require_plain(values.get("compression", ""))
    encoding = values.get("encoding", "json")
    if encoding not in ("json", "proto"):
        raise FieldViolation("encoding is json or proto", field_violations=[("encoding", "is json or proto")])
    text = values.get("message", "")
    if values.get("base64") != "1":
        return encoding == "json", text.encode("utf-8", "replace")
    try:
        return encoding == "json", base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise FieldViolation(f"message is no base64: {error}") from error
