"""Users between contract and model."""

from __future__ import annotations

from batuta_api import pages
from batuta_api.moments import stamp
from batuta_api.users.convert import role_names, role_numbers
from batuta_api.users.user import User
from batuta_proto.users import v1 as users

_LIST = "users"


def role(number: int) -> str:
    """A role as users have it."""
    return role_names((number,))[0]


def render(user: User) -> users.User:
    """As the contract shows it."""
    return users.User(
        name=user.name,
        etag=user.etag,
        display_name=user.display_name,
        role=role_numbers((user.role,))[0],
        create_time=stamp(user.create_time),
        disable_time=stamp(user.disable_time),
        has_password=bool(user.password_hash),
    )


def edits(request: users.UpdateUserRequest) -> tuple[str | None, str | None]:
    """The display name and the role asked for, None where absent."""
    name = request.display_name if request.HasField("display_name") else None
    return name, role(request.role) if request.HasField("role") else None


def place(request: users.ListUsersRequest) -> str | None:
    """The name that a page begins after. Raises `FieldViolation`."""
    parts = pages.unseal(request.page_token, _LIST, None, 1)
    return None if parts is None else str(parts[0])


def render_page(found: list[User], size: int) -> users.ListUsersResponse:
    """One page, and the token of the next one when more than `size` were found."""
    shown = found[:size]
    token = pages.seal(_LIST, None, [shown[-1].name]) if len(found) > size else ""
    return users.ListUsersResponse(users=[render(each) for each in shown], next_page_token=token)
