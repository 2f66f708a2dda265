"""Logins, credentials, join tokens, and the first start."""

from __future__ import annotations

import configparser
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from batuta_api.__main__ import build
from batuta_api.users.limits import Failures
from batuta_api.users.model import Credential, fingerprint, opens
from batuta_chassis.peer import host_of
from batuta_chassis.testing import running
from batuta_chassis.tokens import Verifier
from batuta_proto.system import v1 as system
from batuta_proto.types import v1 as types
from batuta_proto.users import v1 as users
from batuta_rpc.clock import SystemClock
from batuta_rpc.errors import (
    CredentialInvalid,
    CredentialNotFound,
    FieldViolation,
    JoinTokenInvalid,
    RateLimited,
    RoleMissing,
)
from batuta_rpc.testing import FakeClock


def block(path: Path) -> dict[str, str]:
    """A credential file's contents."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(path)
    return dict(parser["batuta"])


async def log_in(api: Any, access_key: str, secret_key: str) -> Any:
    """Stubs for the holder of a credential."""
    request = users.IssueTokenRequest(access_key=access_key, secret_key=secret_key)
    answer = await api.stubs().users.IssueToken(request)
    return api.stubs(token=answer.token)


async def whoami(stubs: Any) -> users.GetCallerResponse:
    """Who the caller is."""
    answer: users.GetCallerResponse = await stubs.users.GetCaller(users.GetCallerRequest())
    return answer


async def test_the_first_start_writes_credentials_that_work_for_their_owners_only(api: Any) -> None:
    for name, subject, role in (("admin", "admin", types.ROLE_ADMIN), ("agent", "agent:local", types.ROLE_AGENT)):
        path = api.data / f"{name}.credentials"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        told = block(path)
        assert told["api"] == f"http://{api.running.address}"
        caller = await whoami(await log_in(api, told["access_key"], told["secret_key"]))
        assert (caller.subject, list(caller.roles)) == (subject, [role])


async def test_a_later_start_leaves_the_credentials_and_their_files_alone(tmp_path: Path, queue: Any) -> None:
    seen: list[bytes] = []
    for _ in range(2):
        async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint):
            seen.append((tmp_path / "admin.credentials").read_bytes())
    assert seen[0] == seen[1]
    (tmp_path / "admin.credentials").unlink()  # its owner has taken it away
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint):
        assert not (tmp_path / "admin.credentials").exists()
    assert (tmp_path / "agent.credentials").exists()


async def test_a_wrong_secret_and_an_unknown_key_get_the_same_answer(api: Any) -> None:
    told = block(api.data / "admin.credentials")
    errors: list[str] = []
    for key, secret in ((told["access_key"], "wrong"), ("bk_nobody", told["secret_key"])):
        with pytest.raises(CredentialInvalid) as refused:
            await log_in(api, key, secret)
        errors.append(refused.value.message)
    assert errors[0] == errors[1]


async def test_a_token_ends_within_a_quarter_of_an_hour(api: Any) -> None:
    told = block(api.data / "admin.credentials")
    caller = await whoami(await log_in(api, told["access_key"], told["secret_key"]))
    assert 0 < caller.expire_time.seconds - SystemClock().unix_millis() / 1000 <= 15 * 60


async def test_s11_guessing_is_slowed_down_for_the_guesser_alone(api: Any) -> None:
    told = block(api.data / "admin.credentials")
    for _ in range(10):
        with pytest.raises(CredentialInvalid):
            await log_in(api, "bk_guess", "wrong")
    with pytest.raises(RateLimited) as limited:
        await log_in(api, "bk_guess", "wrong")
    assert limited.value.retry_delay is not None
    await log_in(api, told["access_key"], told["secret_key"])


async def test_a_credential_is_made_listed_used_and_ended(api: Any) -> None:
    admin = api.stubs("admin", subject="root")
    for name, role in (("ada", types.ROLE_MEMBER), ("root", types.ROLE_ADMIN)):
        await admin.users.CreateUser(users.CreateUserRequest(user_name=name, role=role))
    request = users.CreateCredentialRequest(
        subject="ada", roles=[types.ROLE_MEMBER, types.ROLE_MEMBER], comment="laptop"
    )
    made = await admin.users.CreateCredential(request)
    assert (made.credential.subject, list(made.credential.roles)) == ("ada", [types.ROLE_MEMBER])
    ada = await log_in(api, made.credential.access_key, made.secret_key)
    assert (await whoami(ada)).subject == "ada"
    with pytest.raises(RoleMissing):
        await ada.users.CreateCredential(users.CreateCredentialRequest(subject="bob", roles=[types.ROLE_MEMBER]))
    page = await admin.users.ListCredentials(users.ListCredentialsRequest(page_size=1))
    assert page.credentials[0].access_key == made.credential.access_key
    assert page.credentials[0].HasField("last_use_time")
    rest = await admin.users.ListCredentials(users.ListCredentialsRequest(page_token=page.next_page_token))
    assert sorted(each.subject for each in rest.credentials) == ["admin", "agent:local"]
    revoke = users.RevokeCredentialRequest(access_key=made.credential.access_key)
    ended = [(await admin.users.RevokeCredential(revoke)).credential for _ in range(2)]
    assert ended[0] == ended[1]
    with pytest.raises(CredentialInvalid):
        await log_in(api, made.credential.access_key, made.secret_key)
    with pytest.raises(CredentialNotFound):
        await admin.users.RevokeCredential(users.RevokeCredentialRequest(access_key="bk_nobody"))
    own = await admin.users.CreateCredential(users.CreateCredentialRequest(roles=[types.ROLE_VIEWER]))
    assert own.credential.subject == "root"
    with pytest.raises(FieldViolation):
        await admin.users.CreateCredential(users.CreateCredentialRequest(roles=[types.ROLE_SERVICE]))


async def test_s34_a_join_token_is_good_once_for_a_credential_of_role_agent(api: Any) -> None:
    admin = api.stubs("admin")
    token = (await admin.users.CreateJoinToken(users.CreateJoinTokenRequest(comment="gpu box"))).join_token
    redeem = users.RedeemJoinTokenRequest(join_token=token, agent_id="gpu1:0")
    made = await api.stubs().users.RedeemJoinToken(redeem)
    agent = await whoami(await log_in(api, made.credential.access_key, made.secret_key))
    assert (agent.subject, list(agent.roles)) == ("agent:gpu1:0", [types.ROLE_AGENT])
    for spent in (token, "bj_nonsense"):
        redeem.join_token = spent
        with pytest.raises(JoinTokenInvalid):
            await api.stubs().users.RedeemJoinToken(redeem)


async def test_the_token_of_a_joined_agent_names_that_agent_and_that_of_a_shared_credential_none(api: Any) -> None:
    admin, nobody = api.stubs("admin").users, api.stubs().users
    token = (await admin.CreateJoinToken(users.CreateJoinTokenRequest())).join_token
    joined = await nobody.RedeemJoinToken(users.RedeemJoinTokenRequest(join_token=token, agent_id="gpu1:0"))
    shared = users.CreateCredentialRequest(subject="agent:farm", roles=[types.ROLE_AGENT])
    made = await admin.CreateCredential(shared)
    local = block(api.data / "agent.credentials")
    logins = [(each.credential.access_key, each.secret_key) for each in (joined, made)]
    named: list[str] = []
    for access, secret in (*logins, (local["access_key"], local["secret_key"])):
        answer = await nobody.IssueToken(users.IssueTokenRequest(access_key=access, secret_key=secret))
        named.append(Verifier(api.running.settings.keys_dir).verify(answer.token).agent_id)
    assert named == ["gpu1:0", "", ""]


async def test_an_expired_join_token_is_refused(tmp_path: Path, queue: Any, make_api: Any) -> None:
    clock = FakeClock()
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint, clock=clock) as process:
        api = make_api(process)
        ttl = Duration(seconds=60)
        made = await api.stubs("admin").users.CreateJoinToken(users.CreateJoinTokenRequest(ttl=ttl))
        clock.advance(61)
        redeem = users.RedeemJoinTokenRequest(join_token=made.join_token, agent_id="a")
        with pytest.raises(JoinTokenInvalid):
            await api.stubs().users.RedeemJoinToken(redeem)


async def test_no_secret_lies_in_the_database(api: Any) -> None:
    told = block(api.data / "admin.credentials")
    await log_in(api, told["access_key"], told["secret_key"])
    stored = b"".join(path.read_bytes() for path in api.data.glob("api.db*"))
    assert told["access_key"].encode() in stored
    assert told["secret_key"].encode() not in stored


async def test_the_server_says_where_agents_dial(tmp_path: Path, queue: Any) -> None:
    settings: dict[str, Any] = {"queue_endpoint": queue.endpoint, "dispatch_endpoint": "gpu.example:7171"}
    async with running(build, tmp_path, service="api", **settings) as process:
        stub: Any = system.SystemServiceStub(process.channel())
        told = await stub.GetServerInfo(system.GetServerInfoRequest())
        assert (told.service, told.dispatch_endpoint) == ("api", "gpu.example:7171")


def test_a_secret_opens_its_own_living_credential_only() -> None:
    clock = FakeClock()
    credential = Credential("bk_1", fingerprint("s"), "ada", ("member",), clock.now())
    assert opens(credential, "s", clock.now())
    assert not opens(credential, "t", clock.now())
    assert not opens(None, "s", clock.now())
    assert not opens(credential.revoked(clock.now() + timedelta(seconds=1)), "s", clock.now())
    short = replace(credential, expire_time=clock.now() + timedelta(seconds=1))
    assert opens(short, "s", clock.now())
    assert not opens(short, "s", clock.now() + timedelta(seconds=1))


def test_failures_are_forgiven_with_time_and_forgotten_by_number() -> None:
    clock = FakeClock()
    failures = Failures(clock, burst=2, period=5, limit=3)
    failures.add("a")
    failures.check("a", "b")
    failures.add("a")
    with pytest.raises(RateLimited):
        failures.check("a")
    clock.advance(5)
    failures.check("a")
    failures.add("a")
    for other in "bcd":
        failures.add(other)
    failures.check("a")


def test_the_address_of_a_peer_is_read_without_its_port() -> None:
    assert host_of("ipv4:127.0.0.1:4711") == "127.0.0.1"
    assert host_of("ipv6:%5B::1%5D:4711") == "[::1]"
    assert host_of("unix:/tmp/x") == "unix:/tmp/x"
