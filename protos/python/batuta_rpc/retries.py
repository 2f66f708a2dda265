"""Which calls gRPC may repeat by itself: read from the contract, never written by hand.

A unary call may be repeated when the method has no side effects or is marked idempotent, or when its request carries a
`request_id`, by which the server recognises a repetition. A request whose caller left that empty gets one here: what is
repeated without it acts twice.
"""

from __future__ import annotations

import functools
import importlib
import json
import pkgutil
from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor, descriptor_pb2

import batuta_proto
from batuta_rpc.ids import Ids

_POLICY = {
    "maxAttempts": 5,
    "initialBackoff": "0.1s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


@functools.lru_cache(maxsize=1)
def service_config() -> str:
    """The gRPC service config (JSON) with one retry policy for every method that may be repeated."""
    names = [
        {"service": method.containing_service.full_name, "method": method.name}
        for method in methods()
        if may_repeat(method)
    ]
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": _POLICY}] if names else []})


def methods() -> Iterator[descriptor.MethodDescriptor]:
    """Every method of the contract, as far as stubs are installed."""
    for area in pkgutil.iter_modules(batuta_proto.__path__):
        package = importlib.import_module(f"batuta_proto.{area.name}.v1")
        for module in pkgutil.iter_modules(package.__path__):
            if module.name.endswith("_pb2"):
                yield from _methods_of(importlib.import_module(f"{package.__name__}.{module.name}").DESCRIPTOR)


def _methods_of(file: descriptor.FileDescriptor) -> Iterator[descriptor.MethodDescriptor]:
    for service in file.services_by_name.values():
        yield from service.methods


def may_repeat(method: descriptor.MethodDescriptor) -> bool:
    """Whether a call of the method may be sent again after an UNAVAILABLE."""
    if method.client_streaming or method.server_streaming:
        return False
    options = method.GetOptions()
    if options.idempotency_level != descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN:
        return True
    return "request_id" in method.input_type.fields_by_name


def recognisable(request: Any, ids: Ids) -> Any:
    """The request, with a `request_id` where it has room for one and none is set. The caller's own stays as it is."""
    if getattr(request, "request_id", None) != "":
        return request
    filled = type(request)()
    filled.CopyFrom(request)
    filled.request_id = ids.request_id()
    return filled
