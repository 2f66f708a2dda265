"""Users, their passwords, and what their credentials may do."""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from google.protobuf.duration_pb2 import Duration
from sqlalchemy import create_engine, text

from batuta_api import __main__ as main
from batuta_api.__main__ import build
from batuta_api.users import model
from batuta_api.users.passwords import Passwords
from batuta_chassis.migrations import migrate
from batuta_chassis.testing import running
from batuta_proto.types import v1 as types
from batuta_proto.users import v1 as users
from batuta_rpc.errors import (
    CredentialInvalid,
    EtagMismatch,
    FieldViolation,
    LastAdmin,
    RateLimited,
    RoleMissing,
    UserNameTaken,
    UserNotFound,
)
from batuta_rpc.ids import SystemIds
from batuta_rpc.testing import FakeClock

PASSWORD = "correct horse"


class Admin:
    """What admins do, by short names."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self.users = api.stubs("admin", subject="admin").users

    async def make(self, name: str, role: int = types.ROLE_MEMBER, password: str = "") -> users.User:
        """Make a user."""
        request = users.CreateUserRequest(user_name=name, role=role, display_name=name.title())  # type: ignore[arg-type]
        made: users.User = (await self.users.CreateUser(request)).user
        if password:
            await self.users.SetPassword(users.SetPasswordRequest(user_name=name, password=password))
        return made

    async def credential(self, name: str, *roles: int, **fields: Any) -> users.CreateCredentialResponse:
        """Make a credential."""
        request = users.CreateCredentialRequest(subject=name, roles=roles, **fields)  # type: ignore[arg-type]
        answer: users.CreateCredentialResponse = await self.users.CreateCredential(request)
        return answer

    async def roles(self, made: users.CreateCredentialResponse) -> list[int]:
        """What a new token of a credential may do."""
        request = users.IssueTokenRequest(access_key=made.credential.access_key, secret_key=made.secret_key)
        return await self.roles_of((await self.api.stubs().users.IssueToken(request)).token)

    async def log_in(self, name: str, password: str) -> str:
        """A token for a password."""
        answer = await self.api.stubs().users.LogIn(users.LogInRequest(user_name=name, password=password))
        return str(answer.token)

    async def roles_of(self, token: str) -> list[int]:
        """What a token may do."""
        return list((await self.api.stubs(token=token).users.GetCaller(users.GetCallerRequest())).roles)


@pytest.fixture
def admin(api: Any) -> Admin:
    """An admin."""
    return Admin(api)


async def test_a_user_is_made_once_changed_and_listed(admin: Admin) -> None:
    made = await admin.make("ada")
    assert (made.name, made.display_name, made.role, made.has_password) == ("ada", "Ada", types.ROLE_MEMBER, False)
    with pytest.raises(UserNameTaken):
        await admin.make("ada")
    edit = users.UpdateUserRequest(user_name="ada", etag=made.etag, display_name="Countess")
    changed = (await admin.users.UpdateUser(edit)).user
    assert (changed.display_name, changed.role) == ("Countess", types.ROLE_MEMBER)
    with pytest.raises(EtagMismatch):
        await admin.users.UpdateUser(edit)
    with pytest.raises(UserNotFound):
        await admin.users.GetUser(users.GetUserRequest(user_name="bob"))
    with pytest.raises(FieldViolation):
        await admin.make("agent:x")
    page = await admin.users.ListUsers(users.ListUsersRequest(page_size=1))
    rest = await admin.users.ListUsers(users.ListUsersRequest(page_token=page.next_page_token))
    assert [each.name for each in (*page.users, *rest.users)] == ["ada", "admin"]


async def test_members_look_at_users_and_change_none(admin: Admin, member: Any) -> None:
    assert [each.name for each in (await member.users.ListUsers(users.ListUsersRequest())).users] == ["admin"]
    with pytest.raises(RoleMissing):
        await member.users.CreateUser(users.CreateUserRequest(user_name="eve", role=types.ROLE_ADMIN))
    with pytest.raises(RoleMissing):
        await member.users.DisableUser(users.DisableUserRequest(user_name="admin"))


async def test_a_disabled_user_gets_no_token_until_enabled_again(admin: Admin) -> None:
    await admin.make("ada", password=PASSWORD)
    made = await admin.credential("ada", types.ROLE_MEMBER)
    off = [(await admin.users.DisableUser(users.DisableUserRequest(user_name="ada"))).user for _ in range(2)]
    assert off[0] == off[1]
    assert off[0].HasField("disable_time")
    with pytest.raises(CredentialInvalid):
        await admin.roles(made)
    with pytest.raises(CredentialInvalid):
        await admin.log_in("ada", PASSWORD)
    on = (await admin.users.EnableUser(users.EnableUserRequest(user_name="ada"))).user
    assert not on.HasField("disable_time")
    assert await admin.roles(made) == [types.ROLE_MEMBER]
    assert await admin.roles_of(await admin.log_in("ada", PASSWORD)) == [types.ROLE_MEMBER]


async def test_a_credential_never_does_more_than_its_user(admin: Admin) -> None:
    await admin.make("ada")
    with pytest.raises(FieldViolation):
        await admin.credential("ada", types.ROLE_ADMIN)
    with pytest.raises(UserNotFound):
        await admin.credential("bob", types.ROLE_VIEWER)
    with pytest.raises(UserNotFound):
        await admin.credential("agent:x", types.ROLE_VIEWER, types.ROLE_AGENT)
    made = await admin.credential("ada", types.ROLE_MEMBER)
    await admin.users.UpdateUser(users.UpdateUserRequest(user_name="ada", role=types.ROLE_VIEWER))
    assert await admin.roles(made) == [types.ROLE_VIEWER]
    await admin.users.UpdateUser(users.UpdateUserRequest(user_name="ada", role=types.ROLE_ADMIN))
    assert await admin.roles(made) == [types.ROLE_MEMBER]


async def test_the_last_admin_stays_one(admin: Admin) -> None:
    demote = users.UpdateUserRequest(user_name="admin", role=types.ROLE_MEMBER)
    with pytest.raises(LastAdmin):
        await admin.users.DisableUser(users.DisableUserRequest(user_name="admin"))
    with pytest.raises(LastAdmin):
        await admin.users.UpdateUser(demote)
    await admin.make("root", types.ROLE_ADMIN)
    assert (await admin.users.UpdateUser(demote)).user.role == types.ROLE_MEMBER
    with pytest.raises(LastAdmin):
        await admin.users.DisableUser(users.DisableUserRequest(user_name="root"))


async def test_people_set_their_own_password_by_the_one_they_have(admin: Admin) -> None:
    await admin.make("ada")
    ada = admin.api.stubs("member", subject="ada").users
    first = users.SetPasswordRequest(password=PASSWORD)
    assert (await ada.SetPassword(first)).user.has_password
    second = users.SetPasswordRequest(password="battery staple", current_password="wrong")
    with pytest.raises(CredentialInvalid):
        await ada.SetPassword(second)
    second.current_password = PASSWORD
    await ada.SetPassword(second)
    with pytest.raises(CredentialInvalid):
        await admin.log_in("ada", PASSWORD)
    assert await admin.log_in("ada", "battery staple")
    with pytest.raises(RoleMissing):
        await ada.SetPassword(users.SetPasswordRequest(user_name="admin", password=PASSWORD))
    with pytest.raises(FieldViolation):
        await ada.SetPassword(users.SetPasswordRequest(password="short"))


async def test_a_credential_ends_at_its_time_and_its_tokens_with_it(tmp_path: Path, queue: Any, make_api: Any) -> None:
    clock = FakeClock()
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint, clock=clock) as process:
        admin = Admin(make_api(process))
        await admin.make("ada")
        made = await admin.credential("ada", types.ROLE_MEMBER, ttl=Duration(seconds=60))
        request = users.IssueTokenRequest(access_key=made.credential.access_key, secret_key=made.secret_key)
        answer = await admin.api.stubs().users.IssueToken(request)
        assert answer.expire_time == made.credential.expire_time
        clock.advance(60)
        with pytest.raises(CredentialInvalid):
            await admin.api.stubs().users.IssueToken(request)


async def test_the_use_of_a_credential_is_noted_once_a_minute(tmp_path: Path, queue: Any, make_api: Any) -> None:
    clock = FakeClock()
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint, clock=clock) as process:
        admin = Admin(make_api(process))
        await admin.make("ada")
        made = await admin.credential("ada", types.ROLE_MEMBER)
        seen: list[int] = []
        for pause in (0, 30, 31):
            clock.advance(pause)
            await admin.roles(made)
            found = await admin.users.ListCredentials(users.ListCredentialsRequest(subject="ada"))
            assert [each.subject for each in found.credentials] == ["ada"]
            seen.append(found.credentials[0].last_use_time.seconds)
        assert seen[0] == seen[1]
        assert seen[2] == seen[0] + 61


async def test_s9_passwords_are_kept_as_argon2id_each_with_its_own_salt_and_secret_keys_as_hashes(admin: Admin) -> None:
    for name in ("ada", "bob"):
        await admin.make(name, password=PASSWORD)
    made = await admin.credential("ada", types.ROLE_MEMBER)
    with sqlite3.connect(admin.api.data / "api.db") as database:
        hashes = dict(database.execute("SELECT name, password_hash FROM users").fetchall())
        key = (made.credential.access_key,)
        (secret_hash,) = database.execute("SELECT secret_hash FROM credentials WHERE access_key = ?", key).fetchone()
    assert hashes["ada"].startswith("$argon2id$")
    salts = {hashes[name].split("$")[4] for name in ("ada", "bob")}
    assert len(salts) == 2
    assert secret_hash == model.fingerprint(made.secret_key)
    stored = b"".join(path.read_bytes() for path in admin.api.data.glob("api.db*"))
    assert PASSWORD.encode() not in stored
    assert made.secret_key.encode() not in stored


def test_s10_secrets_are_compared_in_constant_time_also_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    real: Callable[[bytes, bytes], bool] = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    now = FakeClock().now()
    credential = model.Credential("bk_1", model.fingerprint("s"), "ada", ("member",), now)
    asked = ((credential, "s"), (credential, "wrong"), (credential.revoked(now), "s"), (None, "s"))
    assert [model.opens(each, secret, now) for each, secret in asked] == [True, False, False, False]
    assert compared == [(32, 32)] * 4


def test_s10_a_password_of_nobody_is_hashed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords(SystemIds())
    mine, verified = passwords.hash(PASSWORD), list[str]()
    real = PasswordHasher.verify

    def watched(hasher: PasswordHasher, stored: str, password: str) -> bool:
        verified.append(stored.rsplit("$", 2)[0])
        return real(hasher, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", watched)
    assert [passwords.opens(stored, PASSWORD) for stored in (mine, "")] == [True, False]
    assert not passwords.opens(mine, "wrong")
    assert len(verified) == 3
    assert len(set(verified)) == 1  # the same work: the same kind and parameters


async def test_s11_a_hundred_wrong_passwords_are_slowed_down_and_lock_nobody_else_out(
    tmp_path: Path, queue: Any, make_api: Any
) -> None:
    clock = FakeClock()
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint, clock=clock) as process:
        admin = Admin(make_api(process))
        for name in ("ada", "bob"):
            await admin.make(name, password=PASSWORD)
        refused: list[type[BaseException]] = []
        for _ in range(100):
            with pytest.raises((CredentialInvalid, RateLimited)) as error:
                await admin.log_in("ada", "wrong")
            refused.append(error.type)
        assert refused == [CredentialInvalid] * 10 + [RateLimited] * 90
        with pytest.raises(RateLimited) as limited:
            await admin.log_in("ada", PASSWORD)
        assert limited.value.retry_delay == 3.0
        assert await admin.log_in("bob", PASSWORD)
        clock.advance(3.0)
        assert await admin.log_in("ada", PASSWORD)


def test_the_migration_makes_a_user_of_each_subject_with_the_highest_role_it_has(tmp_path: Path) -> None:
    folder = Path(main.__file__).parent / "migrations"
    engine = create_engine(f"sqlite:///{tmp_path / 'api.db'}")
    rows = (
        ("k1", "ada", "viewer", 5, None),
        ("k2", "ada", "member agent", 3, None),
        ("k3", "ada", "admin", 4, 9),
        ("k4", "agent:local", "agent", 1, None),
        ("k5", "bob", "admin", 2, None),
        ("k6", "gone", "admin", 2, 3),
    )
    migrate(engine, folder, "0007")
    with engine.begin() as connection:
        for key, subject, roles, made, revoked in rows:
            connection.execute(
                text("INSERT INTO credentials VALUES (:key, :hash, :subject, :roles, '', :made, NULL, :revoked)"),
                {"key": key, "hash": b"h", "subject": subject, "roles": roles, "made": made, "revoked": revoked},
            )
    migrate(engine, folder)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT name, role, create_time, epoch FROM users ORDER BY name")).all()
    assert [tuple(row) for row in found] == [("ada", "member", 3, 0), ("bob", "admin", 2, 0), ("gone", "viewer", 2, 0)]
    engine.dispose()
