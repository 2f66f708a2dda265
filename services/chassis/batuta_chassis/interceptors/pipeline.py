"""The way of a call: deadline, caller, rules, servicer, status, log.

One interceptor runs them all and builds each method's way once: gRPC's own chain would build it anew for every call.
Order: what costs least and refuses most comes first, and nothing of a request is parsed before its caller is known.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from inspect import isasyncgenfunction
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from batuta_chassis.call import OpenCall, set_call
from batuta_chassis.caller import current_caller, set_caller
from batuta_chassis.contract import Contract, Rule
from batuta_chassis.interceptors import access_log, validation
from batuta_chassis.interceptors.auth import Authenticator
from batuta_chassis.interceptors.deadline import require_deadline
from batuta_chassis.interceptors.errors import is_gone, translate
from batuta_chassis.interceptors.meter import CallMeter, MethodMeter
from batuta_chassis.peer import Doorman, note_origin
from batuta_rpc.clock import Clock
from batuta_rpc.errors import MethodUnknown, RpcError, abort
from batuta_rpc.ids import Ids
from batuta_rpc.trace import NO_TRACER, Span, Tracer

if TYPE_CHECKING:  # generic in the type stubs only
    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]
Behaviour = Callable[[Any, Any], Any]
Deserializer = Callable[[bytes], Any]

_EXEMPT = ("/grpc.health.v1.Health/", "/grpc.reflection.")
_METHODS_KEPT = 4096


class Pipeline(grpc.aio.ServerInterceptor):
    """Wraps the handlers of a server."""

    def __init__(
        self,
        contract: Contract,
        authenticator: Authenticator,
        clock: Clock,
        ids: Ids,
        meter: CallMeter | None = None,
        tracer: Tracer = NO_TRACER,
        doorman: Doorman | None = None,
    ) -> None:
        """`doorman` vouches for the clients of our own HTTP port; None: there is none."""
        self._contract = contract
        self._doorman = doorman
        self._authenticator = authenticator
        self._clock = clock
        self._ids = ids
        self._meter = meter or CallMeter()
        self._tracer = tracer
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """The wrapped handler of the method called."""
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            wrapped = self._wrap(method, await continuation(handler_call_details))
            if len(self._wrapped) < _METHODS_KEPT:  # unknown names are the caller's invention: keep a bound on them
                self._wrapped[method] = wrapped
        return wrapped

    def _wrap(self, method: str, handler: Handler | None) -> Handler:
        if handler is not None and method.startswith(_EXEMPT):
            return handler
        rule = self._contract.rule(method)
        if handler is None or rule is None:
            return _unknown(method)
        if handler.response_streaming:
            return self._streaming(rule, handler)
        return self._stream_unary(rule, handler) if handler.request_streaming else self._unary(rule, handler)

    def _unary(self, rule: Rule, handler: Handler) -> Handler:
        inner: Behaviour = _present(handler.unary_unary)
        deserialize: Deserializer | None = handler.request_deserializer
        meter = self._meter.of(rule)

        async def serve(raw: bytes, context: Context) -> Any:
            require_deadline(rule.name, context.time_remaining())
            self._admit(rule, context)
            # Without a deserializer it is passed on as it came: whoever answers it checks it.
            return await inner(raw if deserialize is None else _read(rule, deserialize, raw), context)

        async def behaviour(raw: bytes, context: Context) -> Any:
            return await self._observe(rule, meter, context, serve, raw)

        # No deserializer: what gRPC does with bytes it cannot parse is not a clean answer.
        return grpc.unary_unary_rpc_method_handler(
            behaviour,
            response_serializer=handler.response_serializer,
        )

    def _stream_unary(self, rule: Rule, handler: Handler) -> Handler:
        inner: Behaviour = _present(handler.stream_unary)
        meter = self._meter.of(rule)

        async def serve(requests: AsyncIterator[Any], context: Context) -> Any:
            self._admit(rule, context)
            with self._authenticator.gate.watching(current_caller()):
                return await inner(requests, context)

        async def behaviour(requests: AsyncIterator[Any], context: Context) -> Any:
            return await self._observe(rule, meter, context, serve, requests)

        return grpc.stream_unary_rpc_method_handler(
            behaviour,
            request_deserializer=_reader(rule, handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _streaming(self, rule: Rule, handler: Handler) -> Handler:
        inner: Behaviour = _present(handler.stream_stream if handler.request_streaming else handler.unary_stream)
        respond = _written(inner) if isasyncgenfunction(inner) else inner
        deserialize: Deserializer | None = None if handler.request_streaming else handler.request_deserializer
        meter = self._meter.of(rule)

        async def serve(request: Any, context: Context) -> Any:
            self._admit(rule, context)
            with self._authenticator.gate.watching(current_caller()):
                await respond(request if deserialize is None else _read(rule, deserialize, request), context)

        async def behaviour(request: Any, context: Context) -> None:
            await self._observe(rule, meter, context, serve, request)

        if not handler.request_streaming:
            return grpc.unary_stream_rpc_method_handler(
                behaviour,
                response_serializer=handler.response_serializer,
            )
        return grpc.stream_stream_rpc_method_handler(
            behaviour,
            request_deserializer=_reader(rule, handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _admit(self, rule: Rule, context: Context) -> None:
        metadata = context.invocation_metadata()
        if self._doorman is not None:
            self._doorman.note(context)
        caller = self._authenticator.admit(rule, metadata, context.auth_context)
        set_caller(caller if rule.reads else replace(caller, writes=True))
        if not rule.reads:
            note_origin(context)

    async def _observe(
        self,
        rule: Rule,
        meter: MethodMeter,
        context: Context,
        serve: Behaviour,
        request: Any,
    ) -> Any:
        started = self._clock.monotonic()
        meter.open += 1
        metadata = context.invocation_metadata()
        if meter.deprecated:
            self._meter.outdated(meter, metadata)
        call = OpenCall(metadata, self._tracer, self._ids, spans=not meter.streaming)
        set_call(call)
        code, reason = grpc.StatusCode.OK, ""
        try:
            response = await serve(request, context)
            code = context.code() or code
            return response
        except grpc.aio.AbortError:
            code = context.code()
            raise
        except Exception as raised:
            error = translate(raised, rule.name, self._ids)
            if error is None:
                code = grpc.StatusCode.UNKNOWN
                raise
            code, reason = error.code, error.reason
            await _abort(context, error)
        except BaseException as raised:
            code = grpc.StatusCode.CANCELLED if is_gone(raised) else grpc.StatusCode.UNKNOWN
            raise
        finally:
            seconds = self._clock.monotonic() - started
            meter.end(code, reason, seconds)
            access_log.record(rule.name, current_caller(), code, reason, seconds * 1000)
            if call.sampled:
                self._tracer.add(_span(call, meter.name, code, reason, self._clock.unix_nanos(), seconds))


def _span(call: OpenCall, method: str, code: grpc.StatusCode, reason: str, now: int, seconds: float) -> Span:
    service, _, name = method.rpartition("/")
    return Span(
        method,
        call.traceparent,
        call.parent,
        now - round(seconds * 1e9),
        now,
        kind="server",
        failed=reason or code.name if code is not grpc.StatusCode.OK else "",
        attributes={
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": name,
            "rpc.grpc.status_code": code.value[0],
            "batuta.caller": current_caller().subject,
            "batuta.request_id": call.request_id,
        },
    )


async def _abort(context: Context, error: RpcError) -> None:
    if not context.done():
        await abort(context, error)


def _read(rule: Rule, deserialize: Deserializer, raw: bytes) -> Any:
    validation.check(rule, raw)
    try:
        return deserialize(raw)
    except DecodeError as error:
        raise validation.unreadable(rule) from error


def _reader(rule: Rule, deserialize: Deserializer | None) -> Deserializer | None:
    """For streams of requests: what it raises comes out of the servicer's read, and so ends the call cleanly."""
    if deserialize is None:
        return None
    return lambda raw: _read(rule, deserialize, raw)


def _written(inner: Behaviour) -> Behaviour:
    """A generator as a writing coroutine, so that a call that ends early closes its generator at once."""

    async def respond(request: Any, context: Context) -> None:
        async with aclosing(inner(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    return respond


def _unknown(method: str) -> Handler:
    async def refuse(_request: Any, context: Context) -> None:
        await abort(context, MethodUnknown(f"there is no method {method} on this address", method=method))

    return grpc.stream_stream_rpc_method_handler(refuse)


def _present(behaviour: Any) -> Behaviour:
    if behaviour is None:
        raise TypeError("a handler without a behaviour was registered")
    checked: Behaviour = behaviour
    return checked
