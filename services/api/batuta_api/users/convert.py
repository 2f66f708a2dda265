"""Credentials between contract and model."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from batuta_api import pages
from batuta_api.moments import stamp
from batuta_api.users.credentials import Wanted
from batuta_api.users.model import Credential
from batuta_api.users.store import Place
from batuta_chassis.caller import Caller
from batuta_chassis.contract import ROLES
from batuta_proto.users import v1 as users

_LIST = "credentials"
_NUMBERS = {name: number for number, name in ROLES.items()}
_JOIN_TTL = timedelta(minutes=15)


def role_names(numbers: Iterable[int]) -> tuple[str, ...]:
    """Roles as tokens carry them, each once."""
    return tuple(dict.fromkeys(ROLES[int(number)] for number in numbers))


def role_numbers(names: Iterable[str]) -> list[Any]:
    """Roles as the contract numbers them."""
    return sorted(_NUMBERS[name] for name in names if name in _NUMBERS)


def render(credential: Credential) -> users.Credential:
    """As the contract shows it."""
    return users.Credential(
        access_key=credential.access_key,
        subject=credential.subject,
        roles=role_numbers(credential.roles),
        comment=credential.comment,
        create_time=stamp(credential.create_time),
        last_use_time=stamp(credential.last_use_time),
        revoke_time=stamp(credential.revoke_time),
        expire_time=stamp(credential.expire_time),
    )


def render_caller(caller: Caller) -> users.GetCallerResponse:
    """Who calls."""
    return users.GetCallerResponse(
        subject=caller.subject, roles=role_numbers(caller.roles), expire_time=stamp(caller.token_expire)
    )


def join_ttl(request: users.CreateJoinTokenRequest) -> timedelta:
    """How long a join token may be spent."""
    return _span(request.ttl) if request.HasField("ttl") else _JOIN_TTL


def wanted(request: users.CreateCredentialRequest, caller: Caller) -> Wanted:
    """The credential asked for."""
    return Wanted(
        subject=request.subject or caller.subject,
        roles=role_names(request.roles),
        comment=request.comment,
        ttl=_span(request.ttl) if request.HasField("ttl") else None,
    )


def _span(ttl: Duration) -> timedelta:
    return timedelta(seconds=ttl.seconds, microseconds=ttl.nanos // 1000)


def place(request: users.ListCredentialsRequest) -> Place | None:
    """Where a page begins. Raises `FieldViolation`."""
    parts = pages.unseal(request.page_token, _LIST, _filter(request.subject), 2)
    return None if parts is None else Place(pages.moment(parts[0]), str(parts[1]))


def render_page(found: list[Credential], size: int, subject: str) -> users.ListCredentialsResponse:
    """One page, and the token of the next one when more than `size` were found."""
    shown, token = found[:size], ""
    if len(found) > size:
        token = pages.seal(_LIST, _filter(subject), [pages.micros(shown[-1].create_time), shown[-1].access_key])
    return users.ListCredentialsResponse(credentials=[render(each) for each in shown], next_page_token=token)


def _filter(subject: str) -> users.ListCredentialsRequest:
    return users.ListCredentialsRequest(subject=subject)
