"""What a call by HTTP says beside its message: how long it may take, and how its bytes are packed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from batuta_chassis.contract import Rule
from batuta_chassis.web.message import Request
from batuta_rpc.channel import MESSAGE_BYTES
from batuta_rpc.errors import CapabilityMissing, DeadlineExceeded, FieldViolation

UNARY_SECONDS = 60.0
"""For a unary call that does not say how long its caller waits."""
JSON_BYTES = 4 * 1024 * 1024
"""The largest JSON that is read: it takes many times its bytes while it is."""
PUBLIC_BYTES = 64 * 1024
"""The largest body of a method that anybody may call."""
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_FRAME = 5
_LONGEST = 30 * 24 * 3600.0


def body_limit(rule: Rule, *, json: bool) -> int:
    """Bytes that the body of a call may have."""
    return PUBLIC_BYTES if rule.public else JSON_BYTES if json else MESSAGE_BYTES + 1024


def timeout(rule: Rule, request: Request) -> float | None:
    """Seconds that the call may take; None: as long as its stream goes on. Raises `FieldViolation` and
    `DeadlineExceeded`."""
    given = _given(request)
    if given == 0:  # gRPC takes it for a time that is not quite over
        raise DeadlineExceeded("the call was given no time: it was over before it began")
    streams = rule.server_streaming or rule.client_streaming
    return given if given is not None or streams else UNARY_SECONDS


def _given(request: Request) -> float | None:
    millis, grpc = request.header("connect-timeout-ms"), request.header("grpc-timeout")
    if millis:
        if re.fullmatch(r"[0-9]{1,10}", millis) is None:
            raise FieldViolation("connect-timeout-ms is a number of milliseconds, of ten digits at most")
        return min(int(millis) / 1000, _LONGEST)
    if grpc:
        if re.fullmatch(r"[0-9]{1,8}[HMSmun]", grpc) is None:
            raise FieldViolation("grpc-timeout is a number of at most eight digits and one of H, M, S, m, u, n")
        return min(int(grpc[:-1]) * _UNITS[grpc[-1]], _LONGEST)
    return None


def require_plain(encoding: str) -> None:
    """Raise `CapabilityMissing` for bytes that are packed: what unpacks without a bound is a weapon."""
    if encoding.strip().lower() not in ("", "identity"):
        raise CapabilityMissing(f"bodies are taken unpacked, not as {encoding[:40]}: send them as identity")


def frame(flags: int, data: bytes) -> bytes:
    """One message of a stream, as Connect and gRPC-Web write it."""
    return bytes([flags]) + len(data).to_bytes(4, "big") + data


def frames(body: bytes) -> Iterator[bytes]:
    """The messages of a stream of requests. Raises `FieldViolation` and `CapabilityMissing`."""
    place = 0
    while place < len(body):
        end = place + _FRAME + int.from_bytes(body[place + 1 : place + _FRAME], "big")
        if len(body) - place < _FRAME or end > len(body):
            raise FieldViolation("the body ends in the middle of a message: five bytes of flags and length, then bytes")
        if body[place] & 1:
            require_plain("gzip")
        if body[place]:
            raise FieldViolation(f"a message has the flags {body[place]:#x}, and a request has none")
        yield body[place + _FRAME : end]
        place = end
