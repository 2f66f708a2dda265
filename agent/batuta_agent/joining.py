"""Before the first session: who we are for this server, where its broker is, which queues we serve."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import grpc.aio

from batuta_agent.printer import Printer
from batuta_proto.queues import v1 as queues
from batuta_proto.system import v1 as system
from batuta_proto.types import v1 as types
from batuta_proto.users import v1 as users
from batuta_rpc.auth import AioCredentialTokens
from batuta_rpc.backoff import Backoff
from batuta_rpc.channel import open_aio
from batuta_rpc.clock import Clock
from batuta_rpc.config import Connection, read_connection, save_connection
from batuta_rpc.errors import DeadlineExceeded, QueueNameTaken, QueueNotFound, RoleMissing, Unavailable
from batuta_rpc.ids import Ids

T = TypeVar("T")

CLIENT = "agent"
_LONGEST_PAUSE = 30.0


async def reach(ask: Callable[[], Awaitable[T]], printer: Printer, clock: Clock, ids: Ids, *, patient: bool) -> T:
    """The answer to `ask`. With `patient` it is asked again for as long as the server is away: an agent that starts
    with its machine must not give up because the server starts later. Raises `RpcError`."""
    backoff = Backoff(ids, first=1.0, cap=_LONGEST_PAUSE)
    while True:
        try:
            return await ask()
        except (Unavailable, DeadlineExceeded) as error:  # noqa: PERF203 - this loop waits for seconds
            if not patient:
                raise
            wait = backoff.next()
            printer.event("waiting", f"{error}; trying again in {wait:.0f} s", "warn")
            await clock.sleep(wait)


async def redeem(server: Connection, join_token: str, agent_id: str, keep: Path) -> Connection:
    """Spend a join token for a credential at a server, kept in the file `keep`; the keys of `server` do not matter.
    Raises `ConfigError`, `RpcError`."""
    channel = open_aio(server.api, None, CLIENT, trust=server.trust)
    try:
        stub = users.UserServiceStub(channel)
        answer = await stub.RedeemJoinToken(users.RedeemJoinTokenRequest(join_token=join_token, agent_id=agent_id))
    finally:
        await channel.close()
    connection = server._replace(access_key=answer.credential.access_key, secret_key=answer.secret_key)
    save_connection(keep, connection)
    return connection


def kept_connection(keep: Path) -> Connection | None:
    """What an earlier start has kept in the file `keep`. Raises `ConfigError`."""
    return read_connection(keep) if keep.exists() else None


async def join_as(login: Connection, agent_id: str, keep: Path, clock: Clock) -> Connection:
    """The agent's own credential, for whoever `login` is: an agent's is taken as it is, and an admin's makes one, kept
    in the file `keep`, so that the agent never runs with an admin's rights. Raises `ConfigError`, `RpcError`."""
    channel = open_aio(login.api, tokens_of(login, clock), CLIENT, trust=login.trust)
    try:
        stub = users.UserServiceStub(channel)
        caller = await stub.GetCaller(users.GetCallerRequest())
        if types.ROLE_AGENT in caller.roles:
            return login
        if types.ROLE_ADMIN not in caller.roles:
            raise RoleMissing(
                f"{login.api} knows you as {caller.subject}, who may not start agents: ask an admin for a token of "
                "`batuta agent join-token`, and give it with --join-token"
            )
        before = kept_connection(keep)
        if before is not None and before.api == login.api:
            return before._replace(ca=login.ca, ca_file=login.ca_file)
        token = (await stub.CreateJoinToken(users.CreateJoinTokenRequest(comment=f"agent {agent_id}"))).join_token
    finally:
        await channel.close()
    return await redeem(login, token, agent_id, keep)


def tokens_of(login: Connection, clock: Clock) -> AioCredentialTokens:
    """Tokens for a credential. Raises `ConfigError`."""
    return AioCredentialTokens(login.api, login.access_key, login.secret_key, clock, CLIENT, login.trust)


class Broker(NamedTuple):
    """What a server says of its broker."""

    endpoint: str
    """Where it takes sessions."""
    wants_certificate: bool
    """It takes them from agents with a certificate of their own only."""


async def broker_of(channel: grpc.aio.Channel, api: str, timeout: float | None = None) -> Broker:
    """The broker of a server, within so many seconds. Raises `RpcError`."""
    stub = system.SystemServiceStub(channel)
    info = await stub.GetServerInfo(system.GetServerInfoRequest(), timeout=timeout)
    return Broker(info.dispatch_endpoint or api, "agent_certificates" in info.capabilities)


async def find_queues(channel: grpc.aio.Channel, names: Sequence[str], ids: Ids, *, create: bool) -> dict[str, str]:
    """The ids of queues by name, in the order given. With `create`, missing ones are made.

    Raises `QueueNotFound`, whose text lists the queues there are and says `--create-queue`.
    """
    stub = queues.QueueServiceStub(channel)
    return {name: await _find_queue(stub, name, ids, create=create) for name in names}


async def _find_queue(stub: queues.QueueServiceAsyncStub, name: str, ids: Ids, *, create: bool) -> str:
    try:
        return (await stub.GetQueue(queues.GetQueueRequest(display_name=name))).queue.id
    except QueueNotFound as error:
        if not create:
            raise QueueNotFound(f"{error}; --create-queue makes it") from error
    try:
        request = queues.CreateQueueRequest(display_name=name, request_id=ids.request_id())
        return (await stub.CreateQueue(request)).queue.id
    except QueueNameTaken:  # somebody else was quicker
        return (await stub.GetQueue(queues.GetQueueRequest(display_name=name))).queue.id
