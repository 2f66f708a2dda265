"""Passes the calls of whole services on to another address, byte for byte.

So people and other languages dial one address only. Nothing is parsed here; the token, the deadline, the status with
its details, and a cancellation travel through. Who may call is still checked (by the pipeline, and again by the
receiver). An answer that never came becomes UPSTREAM_UNAVAILABLE.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import grpc.aio

from batuta_chassis.contract import Contract, Rule
from batuta_chassis.peer import INTRODUCTION
from batuta_rpc.error_status import from_grpc
from batuta_rpc.errors import DETAILS_KEY, RpcError, UpstreamUnavailable

if TYPE_CHECKING:  # generic in the type stubs only
    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]

Failed = Callable[[str], Awaitable[object]]
Noted = Callable[[str, bytes], Awaitable[Failed | None]]
NOTHING: Mapping[str, Callable[[], None]] = MappingProxyType({})
_HOP_BY_HOP = ("grpc-", "user-agent", "te", "content-type", ":", INTRODUCTION)


class Forward(grpc.GenericRpcHandler):
    """Takes every method of the given services."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        services: Collection[str],
        contract: Contract,
        name: str,
        noted: Noted | None = None,
        heed: Mapping[str, Callable[[], None]] = NOTHING,
    ) -> None:
        """`channel` is raw (`batuta_rpc.channel.open_raw_aio`); `name` is what people call the service behind it.

        `noted` hears of every unary call that may change something before it is passed on. What it raises ends the
        call; what it returns hears the reason if the call fails. `heed`: what is called, by the full name of a unary
        method, once a call of it is over, however it ended.
        """
        self._channel: Any = channel
        self._heed = heed
        self._services = frozenset(services)
        self._contract = contract
        self._name = name
        self._noted = noted
        self._handlers: dict[str, Handler] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """The handler of a method, or None if its service is not ours to pass on."""
        method = handler_call_details.method
        handler = self._handlers.get(method)
        if handler is None:
            rule = self._contract.rule(method)
            if rule is None or method.split("/")[1] not in self._services:
                return None
            handler = self._handlers[method] = self._make(rule)
        return handler

    def _make(self, rule: Rule) -> Handler:
        if rule.client_streaming:
            return self._stream(rule)
        return self._server_stream(rule) if rule.server_streaming else self._unary(rule)

    def _unary(self, rule: Rule) -> Handler:
        dial: Callable[..., Any] = self._channel.unary_unary(rule.name)
        heed = self._heed.get(rule.name, _nothing)

        async def pass_on(request: Any, context: Context) -> Any:
            failed = await self._noted(rule.name, request) if self._noted is not None and not rule.reads else None
            call = dial(request, timeout=context.time_remaining(), metadata=_onward(context))
            try:
                response = await call
                context.set_trailing_metadata(_back(await call.trailing_metadata()))
                return response
            except grpc.aio.AioRpcError as error:
                if failed is not None:
                    with contextlib.suppress(RpcError):
                        await failed(_reason(error))
                await self._end(context, error)
            finally:
                heed()  # a call that failed may have had its effect all the same

        return grpc.unary_unary_rpc_method_handler(pass_on)

    def _server_stream(self, rule: Rule) -> Handler:
        dial: Callable[..., Any] = self._channel.unary_stream(rule.name)

        async def pass_on(request: Any, context: Context) -> None:
            call = dial(request, timeout=context.time_remaining(), metadata=_onward(context))
            await self._answer(call, context)

        return grpc.unary_stream_rpc_method_handler(pass_on)

    def _stream(self, rule: Rule) -> Handler:
        if rule.server_streaming:
            dial: Callable[..., Any] = self._channel.stream_stream(rule.name)
            wrap: Callable[..., Handler] = grpc.stream_stream_rpc_method_handler
        else:
            dial, wrap = self._channel.stream_unary(rule.name), grpc.stream_unary_rpc_method_handler

        async def pass_on(requests: AsyncIterator[Any], context: Context) -> Any:
            call = dial(timeout=context.time_remaining(), metadata=_onward(context))
            sending = asyncio.create_task(_send(requests, call))
            try:
                if rule.server_streaming:
                    return await self._answer(call, context)
                response = await call
                context.set_trailing_metadata(_back(await call.trailing_metadata()))
                return response
            except grpc.aio.AioRpcError as error:
                await self._end(context, error)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
                call.cancel()

        return wrap(pass_on)

    async def _answer(self, call: Any, context: Context) -> None:
        """Pass responses back as they come, and the status at the end."""
        try:
            async for response in call:
                await context.write(response)
            context.set_trailing_metadata(_back(await call.trailing_metadata()))
        except grpc.aio.AioRpcError as error:
            await self._end(context, error)
        finally:
            call.cancel()  # after the end it changes nothing; before it, the caller has left

    async def _end(self, context: Context, error: grpc.aio.AioRpcError) -> NoReturn:
        trailing = _back(error.trailing_metadata())
        if error.code() is grpc.StatusCode.UNAVAILABLE and not any(key == DETAILS_KEY for key, _ in trailing):
            raise UpstreamUnavailable(
                f"the {self._name} service behind this one does not answer; it may be starting. Try again",
                service=self._name,
            ) from error
        await context.abort(error.code(), error.details() or "", trailing)
        raise AssertionError("abort always raises")


def _nothing() -> None:
    """Nobody asked to be told."""


async def _send(requests: AsyncIterator[Any], call: Any) -> None:
    """Pass requests on as they come. Their end closes the sending side; how the call ends is the answer's affair."""
    try:
        async for request in requests:
            await call.write(request)
        await call.done_writing()
    except (grpc.RpcError, asyncio.InvalidStateError):
        return


def _reason(error: grpc.aio.AioRpcError) -> str:
    return from_grpc(error).reason or error.code().name


def _onward(context: Context) -> tuple[tuple[str, Any], ...]:
    given: Any = context.invocation_metadata() or ()
    return tuple((key, value) for key, value in given if not key.startswith(_HOP_BY_HOP))


def _back(trailing: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((key, value) for key, value in trailing or () if key == DETAILS_KEY or not key.startswith("grpc-"))
