"""What was given out before a credential was revoked, or a user disabled or changed, is dead within a minute."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from batuta_api.__main__ import build
from batuta_chassis.testing import Running, running
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_proto.users import v1 as users
from batuta_queue.__main__ import build as build_queue
from batuta_queue.testing_agent import FakeAgent
from batuta_rpc.errors import TokenInvalid
from batuta_rpc.testing import FakeClock, until

from .conftest import soon

MINUTE = 60.0


class World:
    """An API on a clock of ours, with the user ada."""

    def __init__(self, api: Any, clock: FakeClock) -> None:
        self.api = api
        self.clock = clock
        self.admin = api.stubs("admin", subject="root").users

    async def credential(self) -> users.CreateCredentialResponse:
        """A credential of ada's."""
        request = users.CreateCredentialRequest(subject="ada", roles=[types.ROLE_MEMBER])
        made: users.CreateCredentialResponse = await self.admin.CreateCredential(request)
        return made

    async def log_in(self, made: users.CreateCredentialResponse) -> Any:
        """Stubs with a new token of a credential."""
        request = users.IssueTokenRequest(access_key=made.credential.access_key, secret_key=made.secret_key)
        return self.api.stubs(token=(await self.api.stubs().users.IssueToken(request)).token)

    async def disable(self) -> None:
        """Disable ada."""
        await self.admin.DisableUser(users.DisableUserRequest(user_name="ada"))

    async def enable(self) -> None:
        """Enable ada."""
        await self.admin.EnableUser(users.EnableUserRequest(user_name="ada"))


@pytest.fixture
async def world(tmp_path: Path, queue: Any, make_api: Any) -> AsyncIterator[World]:
    clock = FakeClock()
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint, clock=clock) as process:
        made = World(make_api(process), clock)
        await made.admin.CreateUser(users.CreateUserRequest(user_name="ada", role=types.ROLE_MEMBER))
        yield made


async def caller(stubs: Any) -> list[int]:
    """The roles of a token."""
    return list((await stubs.users.GetCaller(users.GetCallerRequest())).roles)


async def refused(world: World, stubs: Any) -> None:
    """See that a token is dead, a minute after the change at most."""
    for _ in range(int(MINUTE)):
        await world.clock.run_for(1.0)
        try:
            await caller(stubs)
        except TokenInvalid:
            return
    raise AssertionError("the token is alive after a minute")


async def test_s8_tokens_of_a_disabled_user_die_and_stay_dead_when_it_is_enabled_again(world: World) -> None:
    made = await world.credential()
    old = await world.log_in(made)
    assert await caller(old) == [types.ROLE_MEMBER]
    await world.disable()
    await refused(world, old)
    await world.enable()
    assert await caller(await world.log_in(made)) == [types.ROLE_MEMBER]
    with pytest.raises(TokenInvalid):
        await caller(old)


async def test_s8_an_open_stream_of_a_disabled_user_ends(world: World) -> None:
    ada, bob = await world.log_in(await world.credential()), world.api.stubs("viewer", subject="bob")
    request = tasks.WatchTasksRequest()
    streams = [stubs.tasks.WatchTasks(request) for stubs in (ada, bob)]
    for stream in streams:
        assert (await soon(stream.read())).synced
    await world.disable()
    await refused(world, ada)
    with pytest.raises(TokenInvalid):
        await soon(streams[0].read())
    await world.api.stubs("member", subject="bob").draft()
    reading = asyncio.ensure_future(soon(streams[1].read()))

    def moved() -> bool:
        world.clock.advance(0.1)  # the stream takes a breath before it looks again, by the same clock
        return reading.done()

    await until(moved)
    assert (await reading).task.display_name == "digits"
    streams[1].cancel()


async def test_s8_tokens_of_a_revoked_credential_die_and_those_of_another_live(world: World) -> None:
    lost, kept = await world.credential(), await world.credential()
    old, other = await world.log_in(lost), await world.log_in(kept)
    await world.admin.RevokeCredential(users.RevokeCredentialRequest(access_key=lost.credential.access_key))
    await refused(world, old)
    assert await caller(other) == [types.ROLE_MEMBER]


async def test_s8_tokens_of_a_higher_role_die_when_it_is_lowered(world: World) -> None:
    made = await world.credential()
    old = await world.log_in(made)
    await world.admin.UpdateUser(users.UpdateUserRequest(user_name="ada", role=types.ROLE_VIEWER))
    await refused(world, old)
    assert await caller(await world.log_in(made)) == [types.ROLE_VIEWER]


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Running]:
    """A real queue service."""
    keys = tmp_path / "keys"
    async with running(build_queue, tmp_path / "q", service="queue", keys_dir=keys, clock=FakeClock()) as process:
        yield process


async def test_s8_the_session_of_an_agent_whose_credential_is_revoked_ends_at_the_queue_service_too(
    tmp_path: Path, broker: Running, make_api: Any
) -> None:
    clock = FakeClock()
    settings: dict[str, Any] = {"queue_endpoint": broker.address, "keys_dir": tmp_path / "keys", "clock": clock}
    async with running(build, tmp_path, service="api", **settings) as process:
        api = make_api(process)
        admin = api.stubs("admin").users
        request = users.CreateCredentialRequest(subject="agent:a", roles=[types.ROLE_AGENT])
        made = await admin.CreateCredential(request)
        login = users.IssueTokenRequest(access_key=made.credential.access_key, secret_key=made.secret_key)
        token = (await api.stubs().users.IssueToken(login)).token
        queue_id = (await api.stubs("viewer").queues.ListQueues(queues.ListQueuesRequest())).queues[0].id
        agent, other = (
            FakeAgent(broker.channel(*roles, token=given), [queue_id], name)
            for name, roles, given in (("a", (), token), ("b", ("agent",), None))
        )
        await agent.connect()
        await other.connect()
        await admin.RevokeCredential(users.RevokeCredentialRequest(access_key=made.credential.access_key))
        ended = asyncio.create_task(soon(agent.next("shutdown")))
        for _ in range(int(MINUTE)):
            await clock.run_for(1.0)
            await caller(api.stubs("viewer"))  # gives the network its time
        with pytest.raises(TokenInvalid):
            await ended
        await other.beat()
