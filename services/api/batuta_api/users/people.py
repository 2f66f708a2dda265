"""Making, changing, disabling users."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from batuta_api.users.user import User, exceeds
from batuta_api.work import Work
from batuta_rpc.errors import EtagMismatch, FieldViolation, LastAdmin, UserNameTaken, UserNotFound


def create(work: Work, name: str, role: str, display_name: str, now: datetime) -> User:
    """Make a user. Raises `UserNameTaken`."""
    if work.people.get(name) is not None:
        raise UserNameTaken(f"there is a user {name!r} already", resource=("user", name), user_name=name)
    made = User(name, role, now, display_name)
    work.people.add(made)
    return made


def find(work: Work, name: str) -> User:
    """By name. Raises `UserNotFound`."""
    user = work.people.get(name)
    if user is None:
        raise UserNotFound(
            f"there is no user {name!r}",
            resource=("user", name),
            user_name=name,
        )
    return user


def edit(work: Work, name: str, etag: str, display_name: str | None, role: str | None, now: datetime) -> User:
    """Change a user; None leaves a field as it is. Raises `UserNotFound`, `EtagMismatch`, `LastAdmin`."""
    user = find(work, name)
    if etag and etag != user.etag:
        raise EtagMismatch(
            f"user {name!r} has changed since it was read; read it again", resource=("user", name), etag=user.etag
        )
    return _keep(work, user, user.edited(now, display_name, role))


def disable(work: Work, name: str, now: datetime) -> User:
    """Take a user's access away. Raises `UserNotFound`, `LastAdmin`."""
    user = find(work, name)
    return _keep(work, user, user.disabled(now))


def enable(work: Work, name: str) -> User:
    """Give it back. Raises `UserNotFound`."""
    user = find(work, name)
    return _keep(work, user, user.let_in())


def set_password(work: Work, name: str, password_hash: str, now: datetime) -> User:
    """Keep another password. Raises `UserNotFound`."""
    user = find(work, name)
    return _keep(work, user, user.with_password(now, password_hash))


def rehash(work: Work, name: str, old: str, new: str) -> None:
    """Keep another hash of the same password, unless it was changed meanwhile: tokens given out stay good."""
    user = work.people.get(name)
    if user is not None and user.password_hash == old:
        work.people.put(replace(user, password_hash=new))


def check_roles(work: Work, subject: str, roles: tuple[str, ...]) -> None:
    """See that a credential of these roles may be made for `subject`.

    Raises `UserNotFound` where people's roles are asked for nobody, and `FieldViolation` where they are above the
    user's own.
    """
    if set(roles) == {"agent"}:
        return
    user = find(work, subject)
    if exceeds(roles, user.role):
        fault = f"is above the role of user {subject!r}, {user.role}; `batuta user edit {subject} --role` changes it"
        raise FieldViolation(f"roles {fault}", field_violations=[("roles", fault)])


def _keep(work: Work, before: User, after: User) -> User:
    if before.is_admin and not after.is_admin and len(work.people.admins(2)) < 2:
        raise LastAdmin(
            f"{before.name!r} is the only admin that is left; give another user the role admin first",
            resource=("user", before.name),
            user_name=before.name,
        )
    if after != before:
        work.people.put(after)
    return after
