"""Credentials in memory, for tests."""

from __future__ import annotations

from datetime import datetime

from batuta_api.users.model import Credential, JoinToken
from batuta_api.users.store import Place


class MemoryUserStore:
    """`UserStore` in dictionaries."""

    def __init__(self) -> None:
        self._rows: dict[str, Credential] = {}
        self._tokens: dict[bytes, JoinToken] = {}

    def add(self, credential: Credential) -> None:
        """Keep a new credential."""
        self._rows[credential.access_key] = credential

    def get(self, access_key: str) -> Credential | None:
        """By access key."""
        return self._rows.get(access_key)

    def put(self, credential: Credential) -> None:
        """Keep a changed credential."""
        self._rows[credential.access_key] = credential

    def page(self, after: Place | None, limit: int) -> list[Credential]:
        """The next credentials after a place, newest first."""
        found = list(self._rows.values())
        if after is not None:
            place = (after.create_time, after.access_key)
            found = [each for each in found if (each.create_time, each.access_key) < place]
        return sorted(found, key=lambda each: (each.create_time, each.access_key), reverse=True)[:limit]

    def has(self, subject: str, role: str) -> bool:
        """Whether a credential of that subject and role exists that is not revoked."""
        return any(c.subject == subject and role in c.roles and c.revoke_time is None for c in self._rows.values())

    def add_join_token(self, token: JoinToken) -> None:
        """Keep a new join token."""
        self._tokens[token.token_hash] = token

    def join_token(self, token_hash: bytes) -> JoinToken | None:
        """By hash."""
        return self._tokens.get(token_hash)

    def put_join_token(self, token: JoinToken) -> None:
        """Keep a changed join token."""
        self._tokens[token.token_hash] = token

    def purge_join_tokens(self, before: datetime) -> int:
        """Drop those that ended before that. How many went."""
        old = [key for key, token in self._tokens.items() if token.expire_time < before]
        for key in old:
            del self._tokens[key]
        return len(old)
