"""Tokens are fetched once, renewed in time, and replaced when a server calls them expired."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from batuta_proto.system import v1 as system
from batuta_rpc import channel, errors
from batuta_rpc.auth import AioCredentialTokens, CredentialTokens, StaticToken, lifetime
from batuta_rpc.testing import FakeClock

if TYPE_CHECKING:
    from tests.rpc.conftest import Script

INFO = system.GetServerInfoRequest()


async def test_one_token_serves_many_calls_until_a_minute_before_its_end(address: str, script: Script) -> None:
    clock = FakeClock()
    tokens = AioCredentialTokens(address, "key", "secret", clock)
    first = await tokens.fetch()
    clock.advance(839)
    assert tokens.ready() == first
    clock.advance(2)
    assert tokens.ready() is None
    assert await tokens.fetch() != first
    assert script.issued == 2


async def test_a_wrong_wall_clock_does_not_matter(address: str, script: Script) -> None:
    clock = FakeClock()
    clock.jump(365 * 86_400)
    tokens = AioCredentialTokens(address, "key", "secret", clock)
    await tokens.fetch()
    clock.jump(-730 * 86_400)
    assert tokens.ready() is not None


async def test_callers_that_wait_at_once_share_one_request(address: str, script: Script) -> None:
    tokens = AioCredentialTokens(address, "key", "secret", FakeClock())
    got = await asyncio.gather(*(tokens.fetch() for _ in range(20)))
    assert len(set(got)) == 1
    assert script.issued == 1


async def test_an_expired_token_is_replaced_once_and_the_call_goes_through(address: str, script: Script) -> None:
    tokens = AioCredentialTokens(address, "key", "secret", FakeClock())
    await tokens.fetch()
    script.failures = [errors.TokenExpired("too old")]
    async with channel.open_aio(address, tokens, "test") as opened:
        await system.SystemServiceStub(opened).GetServerInfo(INFO)
    assert script.issued == 2
    assert script.seen[-1]["authorization"] == f"Bearer {script.token(2)}"


async def test_a_server_that_calls_every_token_expired_is_believed_the_second_time(
    address: str, script: Script
) -> None:
    async with channel.open_aio(address, AlwaysFresh(script), "test") as opened:
        with pytest.raises(errors.TokenExpired, match="again"):
            await system.SystemServiceStub(opened).GetServerInfo(INFO)
    assert len(script.seen) == 2


class AlwaysFresh:
    """A source whose every token the server will refuse."""

    def __init__(self, script: Script) -> None:
        script.failures = [errors.TokenExpired("once"), errors.TokenExpired("again")]

    def ready(self) -> str | None:
        return "t"

    async def fetch(self) -> str:
        return "t"

    def rejected(self, token: str) -> None:
        assert token == "t"


async def test_a_server_that_changed_its_key_gets_a_new_token(address: str, script: Script) -> None:
    tokens = AioCredentialTokens(address, "key", "secret", FakeClock())
    await tokens.fetch()
    script.failures = [errors.TokenInvalid("signed by a key that is gone")]
    async with channel.open_aio(address, tokens, "test") as opened:
        await system.SystemServiceStub(opened).GetServerInfo(INFO)
    assert script.issued == 2


async def test_a_token_that_cannot_be_replaced_is_refused_once(address: str, script: Script) -> None:
    script.failures = [errors.TokenExpired("the attempt is over")]
    async with channel.open_aio(address, StaticToken("t"), "test") as opened:
        with pytest.raises(errors.TokenExpired):
            await system.SystemServiceStub(opened).GetServerInfo(INFO)
    assert len(script.seen) == 1


async def test_a_wrong_credential_is_one_clear_error(address: str, script: Script) -> None:
    script.failures = [errors.CredentialInvalid("unknown access key or wrong secret key")]
    async with channel.open_aio(address, AioCredentialTokens(address, "k", "s", FakeClock()), "test") as opened:
        with pytest.raises(errors.CredentialInvalid):
            await system.SystemServiceStub(opened).GetServerInfo(INFO)


async def test_a_stream_waits_for_its_token_without_holding_the_loop(address: str, script: Script) -> None:
    from batuta_proto.queues import v1 as queues

    async with channel.open_aio(address, AioCredentialTokens(address, "k", "s", FakeClock()), "test") as opened:
        answers = [one async for one in queues.QueueServiceStub(opened).WatchAttempts(queues.WatchAttemptsRequest())]
    assert len(answers) == 3
    assert script.seen[-1]["authorization"].startswith("Bearer head1.")


def test_threads_share_one_token(far_address: str, script: Script) -> None:
    tokens = CredentialTokens(far_address, "key", "secret", FakeClock())
    got = set[str]()
    threads = [threading.Thread(target=lambda: got.add(tokens.token())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(got) == 1
    assert script.issued == 1


def test_a_blocking_call_replaces_an_expired_token_once(far_address: str, script: Script) -> None:
    tokens = CredentialTokens(far_address, "key", "secret", FakeClock())
    tokens.token()
    script.failures = [errors.TokenExpired("too old")]
    with channel.open_sync(far_address, tokens, "test") as opened:
        system.SystemServiceStub(opened).GetServerInfo(INFO)
    assert script.issued == 2


async def test_a_blocking_source_on_an_aio_channel_is_asked_in_a_thread(address: str, script: Script) -> None:
    tokens = CredentialTokens(address, "key", "secret", FakeClock())
    async with channel.open_aio(address, tokens, "test") as opened:
        await system.SystemServiceStub(opened).GetServerInfo(INFO)
    assert script.issued == 1


def test_a_short_lived_token_is_used_for_half_its_life(far_address: str, script: Script) -> None:
    clock, script.token_life = FakeClock(), 40.0
    tokens = CredentialTokens(far_address, "key", "secret", clock)
    tokens.token()
    clock.advance(19)
    tokens.token()
    assert script.issued == 1
    clock.advance(2)
    tokens.token()
    assert script.issued == 2


def test_a_token_tells_its_lifetime_and_anything_else_tells_none(script: Script) -> None:
    assert lifetime(script.token(1)) == 900.0
    assert lifetime("opaque") is None
    assert lifetime("a.###.c") is None
