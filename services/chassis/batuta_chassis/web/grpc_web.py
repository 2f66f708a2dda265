"""gRPC-Web in its binary form: gRPC's frames, and the trailers as the last of them."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import quote

from google.rpc.status_pb2 import Status

from batuta_chassis.contract import Rule
from batuta_chassis.web import terms
from batuta_chassis.web.inner import Inner, failed
from batuta_chassis.web.message import Failed, Request, Response
from batuta_rpc.errors import DETAILS_KEY, FieldViolation

_TRAILERS = 0x80


class GrpcWeb:
    """`POST` of `application/grpc-web` or `application/grpc-web+proto`, for every method."""

    TYPES = ("application/grpc-web", "application/grpc-web+proto")

    def __init__(self, inner: Inner) -> None:
        self._inner = inner

    def takes(self, rule: Rule, request: Request) -> bool:
        """Whether the request is in this protocol."""
        return request.method == "POST" and request.media_type in self.TYPES

    async def answer(self, rule: Rule, request: Request) -> Response:
        """The response of a call. Raises `Failed`, `RpcError` and `BodyTooLarge`."""
        terms.require_plain(request.header("grpc-encoding") or request.header("content-encoding"))
        raws = list(terms.frames(await request.body(terms.body_limit(rule, json=False))))
        timeout = terms.timeout(rule, request)
        if rule.client_streaming or rule.server_streaming:
            return self._response(self._inner.stream(rule, raws, request, timeout))
        if len(raws) != 1:
            raise failed(FieldViolation(f"{rule.name} takes one message, not {len(raws)}", method=rule.name))
        answer = await self._inner.unary(rule, raws[0], request, timeout or 0.0)
        return Response(200, terms.frame(0, answer) + _trailers(Status()), {"content-type": self.TYPES[1]})

    def refuse(self, request: Request, status: Status) -> Response:
        """The response of a call that did not work out."""
        return Response(200, _trailers(status), {"content-type": self.TYPES[1]})

    def _response(self, answers: AsyncGenerator[bytes]) -> Response:
        return Response(200, self._written(answers), {"content-type": self.TYPES[1]})

    async def _written(self, answers: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        status = Status()
        try:
            async with aclosing(answers):
                async for answer in answers:
                    yield terms.frame(0, answer)
        except Failed as error:
            status = error.status
        yield _trailers(status)


def _trailers(status: Status) -> bytes:
    lines = [f"grpc-status: {status.code}"]
    if status.code:
        lines.append(f"grpc-message: {quote(status.message, safe=' !#$&()*+,/:;=?@[]')}")
        lines.append(f"{DETAILS_KEY}: {base64.b64encode(status.SerializeToString()).decode().rstrip('=')}")
    return terms.frame(_TRAILERS, ("\r\n".join(lines) + "\r\n").encode("ascii"))
