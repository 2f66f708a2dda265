"""Users and credentials in memory, for tests."""

from __future__ import annotations

from datetime import datetime

from batuta_api.users.model import Credential, JoinToken
from batuta_api.users.store import Place
from batuta_api.users.user import User


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

    def page(self, after: Place | None, limit: int, subject: str = "") -> list[Credential]:
        """The next credentials after a place, newest first; all, or those of one subject."""
        found = [each for each in self._rows.values() if subject in ("", each.subject)]
        if after is not None:
            place = (after.create_time, after.access_key)
            found = [each for each in found if (each.create_time, each.access_key) < place]
        return sorted(found, key=lambda each: (each.create_time, each.access_key), reverse=True)[:limit]

    def has(self, subject: str, role: str) -> bool:
        """Whether a credential of that subject and role exists that is not revoked."""
        return any(c.subject == subject and role in c.roles and c.revoke_time is None for c in self._rows.values())

    def revoked_since(self, moment: datetime) -> list[str]:
        """Access keys of credentials that were revoked then or later."""
        ended = {key: row.revoke_time for key, row in self._rows.items()}
        return [key for key, at in ended.items() if at is not None and at >= moment]

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


class MemoryPeopleStore:
    """`PeopleStore` in a dictionary."""

    def __init__(self) -> None:
        self._rows: dict[str, User] = {}

    def add(self, user: User) -> None:
        """Keep a new user."""
        self._rows[user.name] = user

    def get(self, name: str) -> User | None:
        """By name."""
        return self._rows.get(name)

    def put(self, user: User) -> None:
        """Keep a changed user."""
        self._rows[user.name] = user

    def page(self, after: str | None, limit: int) -> list[User]:
        """The next users after a name, by name as code points order it."""
        return [self._rows[name] for name in sorted(self._rows) if after is None or name > after][:limit]

    def fenced_since(self, moment: datetime) -> dict[str, int]:
        """The epochs, by name, of users whose epoch went up then or later."""
        return {u.name: u.epoch for u in self._rows.values() if u.epoch_time is not None and u.epoch_time >= moment}

    def admins(self, limit: int) -> list[User]:
        """Users that may manage users now, at most so many."""
        return [each for each in self._rows.values() if each.is_admin][:limit]
