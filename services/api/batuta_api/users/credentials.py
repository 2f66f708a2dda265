"""Making, listing and ending credentials; joining; checking logins. Secrets leave here once and are kept hashed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from batuta_api.users import people
from batuta_api.users.model import Credential, JoinToken, fingerprint, opens
from batuta_api.users.store import Place
from batuta_api.users.user import LEVELS, User, capped, exceeds
from batuta_api.violations import violation
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_rpc.errors import CredentialInvalid, CredentialNotFound, JoinTokenInvalid, RoleMissing
from batuta_rpc.ids import Ids

_USE_NOTED = timedelta(minutes=1)
"""A login is noted at most so often: it must not cost a commit each time."""
JOIN_TOKENS_KEPT = timedelta(days=30)


@dataclass(frozen=True)
class Wanted:
    """A credential to be made. `ttl` None: good for ever."""

    subject: str
    roles: tuple[str, ...]
    comment: str = ""
    ttl: timedelta | None = None
    agent_id: str = ""


def create_for(work: Work, caller: Caller, wanted: Wanted, now: datetime, ids: Ids) -> tuple[Credential, str]:
    """Make a credential as somebody asks for it: an admin for anybody, all others for themselves.

    Raises as `create` does, `RoleMissing`, and `FieldViolation` where it would do more, or live longer, than what the
    caller calls with.
    """
    if "admin" not in caller.roles:
        if wanted.subject != caller.subject:
            raise RoleMissing(f"only an admin makes credentials of somebody else; you are {caller.subject}")
        held = next(level for level in reversed(LEVELS) if level in caller.roles)
        if exceeds(wanted.roles, held) or "agent" in wanted.roles:
            raise violation("roles", f"go beyond those that you call with, {held}")
        wanted = replace(wanted, ttl=_no_longer(work, caller, wanted.ttl, now))
    return create(work, wanted, now, ids)


def _no_longer(work: Work, caller: Caller, ttl: timedelta | None, now: datetime) -> timedelta | None:
    """A time of life that ends with that of the caller's own credential. Raises `FieldViolation` for a longer one."""
    used = work.users.get(caller.access_key) if caller.access_key else None
    if used is None or used.expire_time is None:
        return ttl
    left = used.expire_time - now
    if ttl is not None and ttl > left:
        raise violation("ttl", f"goes beyond the end of the credential that you use, {used.expire_time:%Y-%m-%d %H:%M}")
    return left if ttl is None else ttl


def create(work: Work, wanted: Wanted, now: datetime, ids: Ids) -> tuple[Credential, str]:
    """Make a credential. Returns it, and its secret, which is kept nowhere. Raises `UserNotFound`, `FieldViolation`."""
    people.check_roles(work, wanted.subject, wanted.roles)
    credential, secret = mint(wanted, now, ids)
    work.users.add(credential)
    return credential, secret


def mint(wanted: Wanted, now: datetime, ids: Ids) -> tuple[Credential, str]:
    """A new credential and its secret, not stored yet."""
    secret = f"bs_{ids.secret(32)}"
    expires = None if wanted.ttl is None else now + wanted.ttl
    key = f"bk_{ids.secret(12)}"
    credential = Credential(
        key,
        fingerprint(secret),
        wanted.subject,
        wanted.roles,
        now,
        wanted.comment,
        expire_time=expires,
        agent_id=wanted.agent_id,
    )
    return credential, secret


def check_login(
    credential: Credential | None, user: User | None, secret: str, now: datetime
) -> tuple[Credential, tuple[str, ...]]:
    """The credential that the secret opens, and the roles that it gives now, by the user whose it is.

    Raises `CredentialInvalid`: one error for all that can be wrong.
    """
    right = opens(credential, secret, now)
    roles = () if credential is None else _roles_of(credential, user)
    if credential is None or not right or not roles:
        raise CredentialInvalid(
            "unknown, revoked or wrong credential, or its user is disabled; give a new one to `batuta init`"
        )
    return credential, roles


def _roles_of(credential: Credential, user: User | None) -> tuple[str, ...]:
    """What the credential gives now: nothing where its user is disabled, no roles of people where there is none."""
    if user is None:
        return tuple(role for role in credential.roles if role not in LEVELS)
    return capped(credential.roles, user.role) if user.enabled else ()


def use_is_due(credential: Credential, now: datetime) -> bool:
    """Whether a login should be noted."""
    return credential.last_use_time is None or now - credential.last_use_time >= _USE_NOTED


def note_use(work: Work, access_key: str, now: datetime) -> None:
    """Note a login."""
    credential = work.users.get(access_key)
    if credential is not None:
        work.users.put(replace(credential, last_use_time=now))


def page(work: Work, caller: Caller, after: Place | None, limit: int, subject: str) -> list[Credential]:
    """The next credentials after a place, of a subject or of all whom the caller may see. Raises `RoleMissing`."""
    if "admin" not in caller.roles:
        if subject not in ("", caller.subject):
            raise RoleMissing(f"only an admin sees credentials of somebody else; you are {caller.subject}")
        subject = caller.subject
    return work.users.page(after, limit, subject)


def revoke(work: Work, caller: Caller, access_key: str, now: datetime) -> Credential:
    """End a credential. Raises `CredentialNotFound`, also for somebody else's where the caller is no admin."""
    credential = work.users.get(access_key)
    if credential is None or ("admin" not in caller.roles and credential.subject != caller.subject):
        raise CredentialNotFound(
            f"there is no credential {access_key}", resource=("credential", access_key), access_key=access_key
        )
    ended = credential.revoked(now)
    if ended is not credential:
        work.users.put(ended)
    return ended


def create_join_token(work: Work, ttl: timedelta, comment: str, now: datetime, ids: Ids) -> tuple[str, datetime]:
    """Make a token with which one agent may join until the time returned."""
    secret = f"bj_{ids.secret(32)}"
    work.users.purge_join_tokens(now - JOIN_TOKENS_KEPT)
    work.users.add_join_token(JoinToken(fingerprint(secret), comment, now, now + ttl))
    return secret, now + ttl


def join(work: Work, secret: str, agent_id: str, now: datetime, ids: Ids) -> tuple[Credential, str]:
    """Spend a join token for a credential of role agent, good for that agent only. Raises `JoinTokenInvalid`."""
    token = work.users.join_token(fingerprint(secret))
    if token is None or not token.good(now):
        raise JoinTokenInvalid("unknown, used or expired join token; ask an admin for a new one")
    work.users.put_join_token(token.spent(agent_id, now))
    wanted = Wanted(f"agent:{agent_id}", ("agent",), token.comment, agent_id=agent_id)
    return create(work, wanted, now, ids)
