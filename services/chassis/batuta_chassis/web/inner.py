"""Makes the calls of HTTP clients on the service's own gRPC port, as bytes: there every rule of a call is kept.

It passes on who calls (the token), for whom (the peer), how long it may take and what it belongs to (the trace).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import grpc
import grpc.aio
from google.rpc.status_pb2 import Status
from grpc_health.v1.health_pb2 import HealthCheckResponse

from batuta_chassis.contract import Rule
from batuta_chassis.peer import Doorman
from batuta_chassis.web.message import Failed, Request
from batuta_rpc.errors import DETAILS_KEY, FieldViolation, RpcError, ShuttingDown, from_grpc, to_status

PASSED_ON = ("authorization", "batuta-client", "traceparent", "tracestate")


class Inner:
    """The service's own port."""

    def __init__(self, channel: grpc.aio.Channel, doorman: Doorman) -> None:
        """`channel` is raw (`batuta_rpc.channel.open_raw_aio`)."""
        self._channel: Any = channel
        self._doorman = doorman

    async def unary(self, rule: Rule, raw: bytes, request: Request, timeout: float) -> bytes:
        """The answer of a unary method. Raises `Failed`."""
        try:
            answer: bytes = await self._channel.unary_unary(rule.name)(
                raw, timeout=timeout, metadata=self._metadata(request)
            )
        except grpc.aio.AioRpcError as error:
            raise Failed(_status(error)) from error
        except asyncio.CancelledError as cancelled:
            raise _told(cancelled) from None
        return answer

    async def stream(
        self, rule: Rule, raws: Sequence[bytes], request: Request, timeout: float | None
    ) -> AsyncGenerator[bytes]:
        """The answers of a method that streams on either side; all that it asks is there. Raises `Failed`.

        Closing the generator cancels the call.
        """
        metadata = self._metadata(request)
        if rule.client_streaming:
            kind = self._channel.stream_stream if rule.server_streaming else self._channel.stream_unary
            call: Any = kind(rule.name)(iter(raws), timeout=timeout, metadata=metadata)
        elif len(raws) == 1:
            call = self._channel.unary_stream(rule.name)(raws[0], timeout=timeout, metadata=metadata)
        else:
            raise failed(FieldViolation(f"{rule.name} takes one message, not {len(raws)}", method=rule.name))
        try:
            if not rule.server_streaming:
                yield await call
                return
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise Failed(_status(error)) from error
        except asyncio.CancelledError as cancelled:
            raise _told(cancelled) from None
        finally:
            call.cancel()

    async def serving(self) -> bool:
        """Whether the service says that it is well."""
        try:
            answer: bytes = await self._channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=5.0)
        except grpc.aio.AioRpcError:
            return False
        return HealthCheckResponse.FromString(answer).status == HealthCheckResponse.SERVING

    async def close(self) -> None:
        """Cut what is still open."""
        await self._channel.close()

    def _metadata(self, request: Request) -> tuple[tuple[str, str], ...]:
        given = [(name, request.headers[name]) for name in PASSED_ON if name in request.headers]
        for name, value in given:
            if not (value.isascii() and value.isprintable()):
                raise failed(FieldViolation(f"the header {name} holds what no header may hold", header=name))
        return (*given, self._doorman.introduce(request.peer))


def _told(cancelled: asyncio.CancelledError) -> BaseException:
    """What ends a call: the cancellation of its task, or in another task that the channel was closed under it."""
    task = asyncio.current_task()
    ours = task is None or task.cancelling() > 0
    return cancelled if ours else failed(ShuttingDown("the service ends; try again in a moment"))


def failed(error: RpcError) -> Failed:
    """An error of ours, to be told to the client."""
    return Failed(to_status(error))


def _status(error: grpc.aio.AioRpcError) -> Status:
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            return Status.FromString(value)
    return to_status(from_grpc(error))
