"""What is kept of credentials and join tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from batuta_api.users.model import Credential, JoinToken


@dataclass(frozen=True)
class Place:
    """Where a page of credentials ended."""

    create_time: datetime
    access_key: str


class UserStore(Protocol):
    """The credentials of one transaction."""

    def add(self, credential: Credential) -> None:
        """Keep a new credential."""
        ...

    def get(self, access_key: str) -> Credential | None:
        """By access key."""
        ...

    def put(self, credential: Credential) -> None:
        """Keep a changed credential."""
        ...

    def page(self, after: Place | None, limit: int, subject: str = "") -> list[Credential]:
        """The next credentials after a place, newest first; all, or those of one subject."""
        ...

    def has(self, subject: str, role: str) -> bool:
        """Whether a credential of that subject and role exists that is not revoked."""
        ...

    def revoked_since(self, moment: datetime) -> list[str]:
        """Access keys of credentials that were revoked then or later."""
        ...

    def add_join_token(self, token: JoinToken) -> None:
        """Keep a new join token."""
        ...

    def join_token(self, token_hash: bytes) -> JoinToken | None:
        """By hash."""
        ...

    def put_join_token(self, token: JoinToken) -> None:
        """Keep a changed join token."""
        ...

    def purge_join_tokens(self, before: datetime) -> int:
        """Drop those that ended before that. How many went."""
        ...
