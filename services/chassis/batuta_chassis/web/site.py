"""What there is at which path: every method of the contract, whether the server is well, and the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Protocol

from google.rpc.status_pb2 import Status

from batuta_chassis.caller import ANONYMOUS
from batuta_chassis.contract import Contract, Rule
from batuta_chassis.interceptors import access_log
from batuta_chassis.interceptors.auth import Authenticator
from batuta_chassis.web.codec import Json
from batuta_chassis.web.connect import Stream, Unary
from batuta_chassis.web.grpc_web import GrpcWeb
from batuta_chassis.web.guard import Guard
from batuta_chassis.web.inner import Inner
from batuta_chassis.web.message import BodyTooLarge, Failed, Request, Response, as_json
from batuta_rpc.errors import RpcError, TooLarge, to_status

_HEALTH = "/healthz"
_DOCUMENT = "/openapi.json"


class _Dialect(Protocol):
    """A protocol in which a method can be called."""

    def takes(self, rule: Rule, request: Request) -> bool: ...

    async def answer(self, rule: Rule, request: Request) -> Response: ...

    def refuse(self, request: Request, status: Status) -> Response: ...


class Site:
    """Answers requests. Called by the connections, in their tasks."""

    def __init__(
        self, contract: Contract, authenticator: Authenticator, inner: Inner, guard: Guard, *, document: bool
    ) -> None:
        """`document` says whether the OpenAPI document is served."""
        codec = Json(contract)
        self._contract = contract
        self._authenticator = authenticator
        self._inner = inner
        self._guard = guard
        self._document = resources.files("batuta_chassis").joinpath("openapi.json").read_bytes() if document else None
        self._unary = Unary(inner, codec)
        self._dialects: tuple[_Dialect, ...] = (self._unary, Stream(inner, codec), GrpcWeb(inner))

    async def __call__(self, request: Request) -> Response:
        """The response to a request."""
        response = self._guard.refuse(request) or await self._route(request)
        return self._guard.seal(request, response)

    async def _route(self, request: Request) -> Response:
        rule = self._contract.rule(request.path)
        if rule is not None:
            return await self._call(rule, request)
        if request.path == _HEALTH or (request.path == _DOCUMENT and self._document is not None):
            return await self._page(request)
        return as_json(404, {"code": "unimplemented", "message": f"there is nothing at {request.path[:200]}"})

    async def _page(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return _not_allowed("GET, HEAD")
        if request.query:
            return as_json(404, {"code": "unimplemented", "message": f"{request.path} takes no query"})
        if request.path == _DOCUMENT:
            return Response(200, self._document or b"", {"content-type": "application/json"})
        well = await self._inner.serving()
        return Response(200 if well else 503, b"ok\n" if well else b"not serving\n", {"content-type": "text/plain"})

    async def _call(self, rule: Rule, request: Request) -> Response:
        if request.method != "POST" and not (request.method == "GET" and rule.reads):
            return _not_allowed("GET, POST" if rule.reads else "POST")
        if request.method == "POST" and request.query:
            return as_json(400, {"code": "invalid_argument", "message": "a call by POST has its message in the body"})
        dialect = next((each for each in self._dialects if each.takes(rule, request)), None)
        if dialect is None:
            return self._other_type(rule, request)
        try:
            self._admit(rule, request)
            return await dialect.answer(rule, request)
        except Failed as error:
            return dialect.refuse(request, error.status)
        except RpcError as error:
            access_log.record(rule.name, ANONYMOUS, error.code, error.reason, 0.0)
            return dialect.refuse(request, to_status(error))
        except BodyTooLarge:
            large = TooLarge("the body is too large: 4 MiB of JSON, 16 MiB of protobuf, 64 KiB for public methods")
            return dialect.refuse(request, to_status(large))

    def _admit(self, rule: Rule, request: Request) -> None:
        """Refuse before anything of the body is read; the inner port looks again."""
        given = request.headers.get("authorization")
        self._authenticator.admit(rule, () if given is None else (("authorization", given),), _without_certificate)

    def _other_type(self, rule: Rule, request: Request) -> Response:
        streams = rule.client_streaming or rule.server_streaming
        types = ", ".join((*(Stream.TYPES if streams else Unary.TYPES), *GrpcWeb.TYPES))
        if request.method == "GET":
            return _not_allowed("POST")
        message = f"{rule.name} takes a content-type of {types}, not {request.media_type[:60] or 'none'}"
        return as_json(415, {"code": "invalid_argument", "message": message}, accept_post=types)


def _without_certificate() -> Mapping[str, Iterable[bytes]]:
    """What gRPC would know of a client's certificate: agents, who have one, come over gRPC."""
    return {}


def _not_allowed(methods: str) -> Response:
    return as_json(405, {"code": "unimplemented", "message": f"only {methods} here"}, allow=methods)
