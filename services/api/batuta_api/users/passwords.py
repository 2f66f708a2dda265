"""Passwords that people choose: argon2id, slow and with a salt of its own for each.

Hashes by bcrypt, from a users file, open as well; whoever logs in with one gets an argon2id hash instead.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import bcrypt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from batuta_rpc.ids import Ids

_AT_ONCE = 2
"""Hashes that are computed at once: each takes a core for a while, and 64 MiB."""


_BCRYPT = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$")
_ARGON2 = re.compile(r"\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+$")


def is_hash(text: str) -> bool:
    """Whether a text is a hash that can be opened."""
    return bool(_BCRYPT.match(text) or _ARGON2.match(text))


class Passwords:
    """Hashes and checks passwords, outside of the event loop."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._hasher = PasswordHasher()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[Turn]:
        """One's turn to compute. Whoever counts failures counts inside, so that no more than two are ever uncounted."""
        async with self._turns:
            yield Turn(self)

    def hash(self, password: str) -> str:
        """What is stored of a password. Takes a while."""
        return self._hasher.hash(password, salt=self._ids.secret(16).encode())

    def opens(self, stored: str, password: str) -> bool:
        """Whether the password is the stored one's. Takes as long where none is stored (an empty text)."""
        if _BCRYPT.match(stored):
            return bcrypt.checkpw(password.encode()[:72], stored.encode())  # bcrypt never looked at more than 72 bytes
        try:
            self._hasher.verify(stored or self._nobodys, password)
        except (VerificationError, InvalidHashError):
            return False
        return bool(stored)

    @staticmethod
    def is_old(stored: str) -> bool:
        """Whether a stored hash that was opened should be replaced by one of ours."""
        return bool(_BCRYPT.match(stored))

    @functools.cached_property
    def _nobodys(self) -> str:
        return self.hash(self._ids.secret(16))


class Turn:
    """The right to compute hashes."""

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords

    async def hash(self, password: str) -> str:
        """What is stored of a password."""
        return await asyncio.to_thread(self._passwords.hash, password)

    async def opens(self, stored: str, password: str) -> bool:
        """Whether the password is the stored one's."""
        return await asyncio.to_thread(self._passwords.opens, stored, password)
