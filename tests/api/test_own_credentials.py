"""What people do with their own credentials, and users who come from a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from google.protobuf.duration_pb2 import Duration

from batuta_api.__main__ import build
from batuta_api.users.users_file import read
from batuta_chassis.settings import SettingsError
from batuta_chassis.testing import Running, running
from batuta_proto.types import v1 as types
from batuta_proto.users import v1 as users
from batuta_rpc.errors import CredentialInvalid, CredentialNotFound, FieldViolation, RoleMissing

VIEWER, MEMBER, ADMIN, AGENT = types.ROLE_VIEWER, types.ROLE_MEMBER, types.ROLE_ADMIN, types.ROLE_AGENT
PASSWORD = "correct horse battery"


def hashed(password: str = PASSWORD) -> str:
    return bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()


async def make(stubs: Any, *roles: int, **fields: Any) -> users.CreateCredentialResponse:
    request = users.CreateCredentialRequest(roles=roles, **fields)  # type: ignore[arg-type]
    made: users.CreateCredentialResponse = await stubs.users.CreateCredential(request)
    return made


async def logged_in(api: Any, made: users.CreateCredentialResponse) -> Any:
    """Stubs with a token for a credential."""
    request = users.IssueTokenRequest(access_key=made.credential.access_key, secret_key=made.secret_key)
    return api.stubs(token=(await api.stubs().users.IssueToken(request)).token)


@pytest.fixture
async def ada(api: Any) -> Any:
    """A member, logged in with a credential of role member."""
    admin = api.stubs("admin", subject="root")
    await admin.users.CreateUser(users.CreateUserRequest(user_name="ada", role=MEMBER))
    await admin.users.CreateUser(users.CreateUserRequest(user_name="eve", role=MEMBER))
    return await logged_in(api, await make(admin, MEMBER, subject="ada"))


async def test_people_make_see_and_end_their_own_credentials(api: Any, ada: Any) -> None:
    made = await make(ada, VIEWER, comment="notebook")
    assert (made.credential.subject, made.credential.roles) == ("ada", [VIEWER])
    listed = (await ada.users.ListCredentials(users.ListCredentialsRequest())).credentials
    assert {each.subject for each in listed} == {"ada"}
    assert len(listed) == 2
    viewer = await logged_in(api, made)
    ended = users.RevokeCredentialRequest(access_key=made.credential.access_key)
    assert (await viewer.users.RevokeCredential(ended)).credential.HasField("revoke_time")
    with pytest.raises(CredentialInvalid):
        await logged_in(api, made)


async def test_nobody_but_an_admin_reaches_credentials_of_others(api: Any, ada: Any) -> None:
    others = await make(api.stubs("admin", subject="root"), MEMBER, subject="eve")
    with pytest.raises(RoleMissing):
        await make(ada, VIEWER, subject="eve")
    with pytest.raises(RoleMissing):
        await ada.users.ListCredentials(users.ListCredentialsRequest(subject="eve"))
    with pytest.raises(CredentialNotFound):
        await ada.users.RevokeCredential(users.RevokeCredentialRequest(access_key=others.credential.access_key))


@pytest.mark.parametrize("role", [MEMBER, ADMIN, AGENT])
async def test_a_credential_makes_none_that_does_more_than_it_does_itself(api: Any, ada: Any, role: int) -> None:
    viewer = await logged_in(api, await make(ada, VIEWER))
    with pytest.raises(FieldViolation, match="go beyond those that you call with, viewer"):
        await make(viewer, role)


async def test_a_credential_makes_none_that_outlives_it(api: Any, ada: Any) -> None:
    short = await make(ada, MEMBER, ttl=Duration(seconds=3600))
    visitor = await logged_in(api, short)
    with pytest.raises(FieldViolation, match="goes beyond the end of the credential that you use"):
        await make(visitor, VIEWER, ttl=Duration(seconds=7200))
    made = await make(visitor, VIEWER)
    assert made.credential.expire_time == short.credential.expire_time


def test_a_users_file_is_read_with_its_comments_and_defaults(tmp_path: Path) -> None:
    path = tmp_path / "users"
    one, two = hashed(), hashed()
    path.write_text(f"# people\n\nada:{one}\n  eve:{two}:admin:Eve: the second\n")
    assert [(each.name, each.role, each.display_name) for each in read(path)] == [
        ("ada", "member", ""),
        ("eve", "admin", "Eve: the second"),
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("ada:secret", "line 1: the hash of ada is neither bcrypt"),
        ("ada:{hash}:root", "line 1: the role of ada is 'root'"),
        ("a b:{hash}", "'a b' is no name of a user"),
        ("agent:{hash}\nagent:{hash}", "agent is there twice"),
    ],
)
def test_a_users_file_that_is_wrong_is_refused_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "users"
    path.write_text(line.replace("{hash}", hashed()))
    with pytest.raises(SettingsError, match=told):
        read(path)
    with pytest.raises(SettingsError, match="cannot be read"):
        read(tmp_path / "nowhere")


async def log_in(api: Any, name: str, password: str = PASSWORD) -> str:
    request = users.LogInRequest(user_name=name, password=password)
    return str((await api.stubs().users.LogIn(request)).token)


async def test_s9_users_of_a_file_log_in_with_their_bcrypt_passwords_which_become_argon2id(
    tmp_path: Path, make_api: Callable[[Running], Any], stored_passwords: Callable[[Path], dict[str, str]]
) -> None:
    path = tmp_path / "users"
    path.write_text(f"ada:{hashed()}\neve:{hashed('x' * 100)}:admin\n")
    async with running(build, tmp_path / "api", service="api", users_file=str(path)) as server:
        api = make_api(server)
        assert stored_passwords(server.settings.data_dir)["ada"].startswith("$2b$")
        with pytest.raises(CredentialInvalid):
            await log_in(api, "ada", "wrong")
        token = await log_in(api, "ada")
        await log_in(api, "eve", "x" * 100)
        assert {each[:10] for each in stored_passwords(server.settings.data_dir).values() if each} == {"$argon2id$"}
        await log_in(api, "ada")
        caller = await api.stubs(token=token).users.GetCaller(users.GetCallerRequest())  # the first token is still good
        assert (caller.subject, caller.roles) == ("ada", [MEMBER])
        await api.stubs(token=token).users.SetPassword(
            users.SetPasswordRequest(password="another one now", current_password=PASSWORD)
        )
    async with running(build, tmp_path / "api", service="api", users_file=str(path)) as server:
        api = make_api(server)
        with pytest.raises(CredentialInvalid):  # the file does not bring an old password back
            await log_in(api, "ada")
        await log_in(api, "ada", "another one now")


@pytest.fixture
def stored_passwords() -> Callable[[Path], dict[str, str]]:
    """What the database keeps of passwords, by user."""

    def stored(data_dir: Path) -> dict[str, str]:
        import sqlite3

        with sqlite3.connect(data_dir / "api.db") as database:
            return dict(database.execute("SELECT name, password_hash FROM users").fetchall())

    return stored
