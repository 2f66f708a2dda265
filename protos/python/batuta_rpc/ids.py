"""Ids, secrets and jitter, in one place: every other module is handed an `Ids` and asks it."""

from __future__ import annotations

import os
import random
import secrets
import time
import uuid
from typing import Protocol


class Ids(Protocol):
    """What the rest of the project may know about chance."""

    def new_id(self) -> str:
        """A new resource id: UUIDv7 as 32 lowercase hex digits, so that ids sort by the time they were made."""
        ...

    def request_id(self) -> str:
        """A new `request_id` for a call that must not act twice: a UUID (version 4) with dashes."""
        ...

    def secret(self, nbytes: int = 32) -> str:
        """A secret of `nbytes` random bytes, as text that is safe in URLs and files."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """A number between `low` and `high`, for jitter only."""
        ...


class SystemIds:
    """Ids from the operating system's source of randomness; safe in threads and after a fork."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def new_id(self) -> str:
        """A new resource id: UUIDv7 as 32 lowercase hex digits."""
        return uuid7_hex(time.time_ns(), int.from_bytes(os.urandom(8), "big"))

    def request_id(self) -> str:
        """A new `request_id`: a UUID (version 4) with dashes."""
        return str(uuid.uuid4())

    def secret(self, nbytes: int = 32) -> str:
        """A secret of `nbytes` random bytes, as text that is safe in URLs and files."""
        return secrets.token_urlsafe(nbytes)

    def uniform(self, low: float, high: float) -> float:
        """A number between `low` and `high`, for jitter only."""
        return self._random.uniform(low, high)


def uuid7_hex(unix_nanos: int, chance: int) -> str:
    """Build a UUIDv7 (RFC 9562) from wall time and 62 bits of chance.

    The 12 bits after the version hold the fraction of the millisecond, so that two ids of one process sort by the
    quarter of a microsecond rather than by the millisecond.
    """
    millis, rest = divmod(unix_nanos, 1_000_000)
    fraction = (rest << 12) // 1_000_000
    value = ((millis & (1 << 48) - 1) << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << 62) | (chance & (1 << 62) - 1)
    return f"{value:032x}"


def request_id_of_part(request_id: str, index: int) -> str:
    """The request id of one part of a request of many: always the same for the same request and place.

    Raises `ValueError` when `request_id` is no UUID.
    """
    return str(uuid.uuid5(uuid.UUID(request_id), str(index)))
