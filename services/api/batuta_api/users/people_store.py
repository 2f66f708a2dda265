"""What is kept of users."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from batuta_api.users.user import User


class PeopleStore(Protocol):
    """The users of one transaction."""

    def add(self, user: User) -> None:
        """Keep a new user."""
        ...

    def get(self, name: str) -> User | None:
        """By name."""
        ...

    def put(self, user: User) -> None:
        """Keep a changed user."""
        ...

    def page(self, after: str | None, limit: int) -> list[User]:
        """The next users after a name, by name as code points order it."""
        ...

    def fenced_since(self, moment: datetime) -> dict[str, int]:
        """The epochs, by name, of users whose epoch went up then or later."""
        ...

    def admins(self, limit: int) -> list[User]:
        """Users that may manage users now, at most so many."""
        ...
