"""Page tokens: where a list goes on, sealed with what was asked, so that a token fits its own list only."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

from google.protobuf.message import Message

from batuta_rpc.errors import FieldViolation

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Part = str | int | float | None
"""What a place in a list is made of."""
LARGEST = 500
DEFAULT = 50


def size(asked: int) -> int:
    """How many items a page gets: 0 is our choice, too many are lowered."""
    return min(asked or DEFAULT, LARGEST)


def seal(what: str, filters: Message | None, place: Sequence[Part]) -> str:
    """The token for the page after `place`. `what` names the list."""
    body = json.dumps([_mark(what, filters), *place], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def unseal(token: str, what: str, filters: Message | None, length: int) -> list[Part] | None:
    """The place that a token stands for; None for an empty token. Raises `FieldViolation` for any other list's."""
    if not token:
        return None
    try:
        body: object = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except ValueError:
        raise _wrong() from None
    parts = cast("list[Part]", body) if isinstance(body, list) else []
    if len(parts) != length + 1 or parts[0] != _mark(what, filters):
        raise _wrong()
    return parts[1:]


def micros(moment: datetime) -> int:
    """A moment inside a token."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def number(part: Part) -> int:
    """A whole number inside a token. Raises `FieldViolation` for anything else."""
    if not isinstance(part, int):
        raise _wrong()
    return part


def moment(part: Part) -> datetime:
    """The moment that `micros` wrote. Raises `FieldViolation`."""
    try:
        return _EPOCH + timedelta(microseconds=number(part))
    except OverflowError:
        raise _wrong() from None


def _mark(what: str, filters: Message | None) -> str:
    asked = b"" if filters is None else filters.SerializeToString(deterministic=True)
    return hashlib.sha256(what.encode() + b"\0" + asked).hexdigest()[:16]


def _wrong() -> FieldViolation:
    return FieldViolation(
        "page_token is not one of this list with this filter; begin again with an empty page_token",
        field_violations=[("page_token", "is not a token of this list with this filter")],
    )
