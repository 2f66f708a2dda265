"""One line per call: who called what, how it ended, how long it took. The formatter adds request and trace id."""

from __future__ import annotations

import logging

import grpc

from batuta_chassis.caller import Caller

_log = logging.getLogger("batuta_chassis.access")


def record(method: str, caller: Caller, code: grpc.StatusCode, reason: str, millis: float) -> None:
    """Write the line, at INFO; at WARNING when the fault is ours."""
    level = logging.WARNING if code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN) else logging.INFO
    if _log.isEnabledFor(level):
        _log.log(
            level,
            "%s %s",
            method,
            code.name,
            extra={
                "method": method,
                "caller": caller.subject,
                "code": code.name,
                "reason": reason,
                "millis": round(millis, 3),
            },
        )
