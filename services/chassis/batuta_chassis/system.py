"""`SystemService`: what every service says of itself."""

from __future__ import annotations

from typing import Any

import grpc.aio

from batuta_chassis.service import Service
from batuta_proto.system import v1 as system
from batuta_rpc.channel import MESSAGE_BYTES
from batuta_rpc.version import VERSION

CHUNK_BYTES = 1024 * 1024
"""The largest chunk of a stream."""
SERVICE_NAME = "batuta.system.v1.SystemService"


class SystemServicer(system.SystemServiceServicer):
    """Answers from what the service was built with."""

    def __init__(self, service: Service) -> None:
        self._gate = service.gate
        self._answer = system.GetServerInfoResponse(
            service=service.name,
            version=VERSION,
            capabilities=service.capabilities,
            limits=system.Limits(message_bytes=MESSAGE_BYTES, chunk_bytes=CHUNK_BYTES),
            dispatch_endpoint=service.dispatch_endpoint,
        )

    async def GetServerInfo(
        self, request: system.GetServerInfoRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> system.GetServerInfoResponse:
        """Version, capabilities, limits, and where agents dial."""
        return self._answer

    async def ReplaceRevocations(
        self, request: system.ReplaceRevocationsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> system.ReplaceRevocationsResponse:
        """Refuse these tokens from now on."""
        self._gate.replace(request.access_keys, {each.user_name: each.epoch for each in request.epochs})
        return system.ReplaceRevocationsResponse()
