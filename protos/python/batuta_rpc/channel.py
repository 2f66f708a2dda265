"""Channels: the one way in which our processes dial each other.

A channel from here puts the token and the client's name on every call, gives unary calls a deadline, repeats what
may be repeated (`batuta_rpc.retries`), and raises `batuta_rpc.errors` instead of gRPC's errors.
"""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio

from batuta_rpc import calls_aio, calls_sync, retries, several, target, trace
from batuta_rpc.auth import AioTokenSource, TokenSource
from batuta_rpc.ids import SystemIds
from batuta_rpc.target import Target
from batuta_rpc.trust import PUBLIC, Trust
from batuta_rpc.version import VERSION

MESSAGE_BYTES = 16 * 1024 * 1024
"""The largest message that anybody of us receives."""
DEADLINE = 20.0
"""Seconds that a unary call may take when its caller did not say."""

_IDS = SystemIds()


def options(*, dispatch: bool = False) -> list[tuple[str, Any]]:
    """Channel arguments. `dispatch` channels (agent to broker) find a dead peer sooner."""
    period, patience = (10_000, 5_000) if dispatch else (30_000, 10_000)
    return [
        # Channels must not share sockets: a shared one does not survive a fork, and mixes the quick with the bulky.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.keepalive_time_ms", period),
        ("grpc.keepalive_timeout_ms", patience),
        ("grpc.keepalive_permit_without_calls", 1 if dispatch else 0),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_receive_message_length", MESSAGE_BYTES),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", 32 * 1024),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        ("grpc.enable_retries", 1),
        ("grpc.service_config", retries.service_config()),
        ("grpc.primary_user_agent", f"batuta/{VERSION}"),
        # A proxy meant for the web must not catch a call to the machine next door.
        ("grpc.enable_http_proxy", 0),
    ]


def open_sync(
    endpoint: str, tokens: TokenSource | None, client_name: str, *, dispatch: bool = False, trust: Trust = PUBLIC
) -> grpc.Channel:
    """A blocking channel to `http://host:port`, `https://host` or `host:port`.

    `client_name` is `sdk-python`, `courier`, …; the release is added to it. `trust` is for https. Nothing is dialled
    yet. Raises `ValueError` for an address that cannot be read.
    """
    where = target.parse(endpoint, _default_port(dispatch))
    raw = open_raw_sync(where, options(dispatch=dispatch), trust)
    return calls_sync.Channel(raw, where.shown, tokens, lambda: _metadata(client_name), DEADLINE, _IDS)


def open_raw_sync(where: Target, chosen: list[tuple[str, Any]], trust: Trust) -> grpc.Channel:
    """A blocking channel that adds nothing to calls."""
    if where.tls:
        return grpc.secure_channel(where.address, _credentials(trust), options=chosen)
    return grpc.insecure_channel(where.address, options=chosen)


def open_aio(
    endpoint: str,
    tokens: TokenSource | AioTokenSource | None,
    client_name: str,
    *,
    dispatch: bool = False,
    retries: bool = True,
    trust: Trust = PUBLIC,
) -> grpc.aio.Channel:
    """The same for an event loop. Must be called, used and closed in one loop.

    `endpoint` may name several equal servers, separated by commas: see `batuta_rpc.several`.
    """
    raw = open_raw_aio(endpoint, dispatch=dispatch, retries=retries, trust=trust)
    where = ", ".join(target.parse(each, _default_port(dispatch)).shown for each in several.split(endpoint))
    return calls_aio.Channel(raw, where, tokens, lambda: _metadata(client_name), DEADLINE, _IDS)


def open_raw_aio(
    endpoint: str, *, dispatch: bool = False, retries: bool = True, trust: Trust = PUBLIC
) -> grpc.aio.Channel:
    """A channel that adds nothing to calls: for those who pass on the calls of others.

    They say `retries=False`: whoever made the call repeats it, and two who repeat multiply their waiting.
    """
    listed = several.split(endpoint)
    if len(listed) > 1:
        return several.Channel([open_raw_aio(each, dispatch=dispatch, retries=retries, trust=trust) for each in listed])
    where = target.parse(endpoint, _default_port(dispatch))
    chosen = options(dispatch=dispatch)
    if not retries:
        chosen = [*(each for each in chosen if each[0] != "grpc.enable_retries"), ("grpc.enable_retries", 0)]
    if where.tls:
        return grpc.aio.secure_channel(where.address, _credentials(trust), options=chosen)
    return grpc.aio.insecure_channel(where.address, options=chosen)


def _credentials(trust: Trust) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(trust.authorities or None, trust.key or None, trust.certificate or None)


def _default_port(dispatch: bool) -> int:
    return target.DISPATCH_PORT if dispatch else target.API_PORT


def _metadata(client_name: str) -> tuple[tuple[str, str], ...]:
    name = client_name if "/" in client_name else f"{client_name}/{VERSION}"
    # A call that belongs to no trace begins one, so that its way through all services can be followed in their logs.
    return (("batuta-client", name), (trace.KEY, trace.current() or trace.begin(_IDS)))
