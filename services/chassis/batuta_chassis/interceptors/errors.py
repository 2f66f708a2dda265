"""What a servicer raises, as a status with details."""

from __future__ import annotations

import asyncio
import logging

from batuta_rpc.errors import Bug, RpcError
from batuta_rpc.ids import Ids

_log = logging.getLogger("batuta_chassis.errors")


def translate(error: Exception, method: str, ids: Ids) -> RpcError | None:
    """The error to end the call with. None: gRPC itself raised it and knows what to do.

    Anything that is not an `RpcError` is a fault of ours: the caller learns an incident id, the log the rest.
    """
    if isinstance(error, RpcError):
        return error
    if type(error).__module__.startswith("grpc"):
        return None
    incident = ids.new_id()
    _log.error("incident %s in %s", incident, method, exc_info=error)
    return Bug(f"the server has a fault; the operator finds it in its log as incident {incident}", incident=incident)


def is_gone(error: BaseException) -> bool:
    """Whether the call ended because its caller left or the server stops."""
    return isinstance(error, asyncio.CancelledError)
