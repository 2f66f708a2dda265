"""What no request gets past, whatever it asks for: strange paths, foreign pages, names that are not this server's."""

from __future__ import annotations

import re
from collections.abc import Collection

from batuta_chassis.web.message import Request, Response, as_json
from batuta_rpc.target import is_loopback

_PATH = re.compile(r"/[A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)*")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_ASKED_HEADERS = (
    "authorization, batuta-client, connect-protocol-version, connect-timeout-ms, content-type, grpc-timeout, "
    "traceparent, tracestate, x-grpc-web, x-user-agent"
)
_ALWAYS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Guard:
    """Refuses requests, and puts on every response what keeps browsers from doing harm with it."""

    def __init__(self, host: str, names: Collection[str] = (), origins: Collection[str] = ()) -> None:
        """`host` is where the port listens. `names` are further names by which it is called, without a port;
        `origins` those of pages elsewhere that may call it, as browsers write them (`https://page.example`)."""
        self._loopback = is_loopback(host)
        self._names = {name.lower().strip("[]") for name in names}
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    def refuse(self, request: Request) -> Response | None:
        """The response to a request that goes no further; None for one that may."""
        if _PATH.fullmatch(request.path) is None or ".." in request.path:
            return _error(400, "invalid_argument", "the path is not one of this server: it is taken letter by letter")
        name = _AUTHORITY.fullmatch(request.header("host"))
        if name is None:
            return _error(400, "invalid_argument", "the request names no host, or several")
        if self._loopback and not self._is_ours(name[1].strip("[]").lower()):
            return _error(
                403,
                "permission_denied",
                f"this server is not called {name[1]}; if it is, its operator adds that to http_names",
            )
        if not self._admits(request.header("origin").lower(), request.header("host").lower()):
            return _error(
                403,
                "permission_denied",
                f"pages of {request.header('origin')[:200]} may not call this server; its operator adds them to "
                "http_origins",
            )
        return self._preflight(request) if request.method == "OPTIONS" else None

    def seal(self, request: Request, response: Response) -> Response:
        """The response with the headers that every response has."""
        origin = request.header("origin")
        if origin and origin.lower() in self._origins:
            response.headers["access-control-allow-origin"] = origin
            response.headers["access-control-expose-headers"] = "grpc-status, grpc-message, grpc-status-details-bin"
        response.headers = {**_ALWAYS, "vary": "Origin", **response.headers}
        return response

    def _is_ours(self, name: str) -> bool:
        return is_loopback(name) or name in self._names

    def _admits(self, origin: str, host: str) -> bool:
        """A page of this very server, one on the list, or no page at all."""
        return not origin or origin in self._origins or origin in (f"http://{host}", f"https://{host}")

    def _preflight(self, request: Request) -> Response:
        if request.header("origin").lower() not in self._origins:
            return _error(405, "unimplemented", "OPTIONS is for pages of origins that may call", allow="POST")
        return Response(
            204,
            b"",
            {
                "access-control-allow-methods": "GET, POST",
                "access-control-allow-headers": _ASKED_HEADERS,
                "access-control-max-age": "7200",
            },
        )


def _error(status: int, code: str, message: str, **headers: str) -> Response:
    return as_json(status, {"code": code, "message": message}, **headers)
