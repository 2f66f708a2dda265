"""A user: a name that history keeps, and the most that its tokens may do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

LEVELS = ("viewer", "member", "admin")
"""Roles of people, each including those before it."""


@dataclass(frozen=True)
class User:
    """A person, or a script under a name of its own. `password_hash` is empty where there is no password.

    `epoch` goes up with everything that must end the tokens given out before: their users learn of it at once, the
    services within a minute of `epoch_time`.
    """

    name: str
    role: str
    create_time: datetime
    display_name: str = ""
    password_hash: str = ""
    disable_time: datetime | None = None
    epoch: int = 0
    epoch_time: datetime | None = None
    generation: int = 1

    @property
    def etag(self) -> str:
        """Names this version of the user."""
        return str(self.generation)

    @property
    def enabled(self) -> bool:
        """Whether it may log in."""
        return self.disable_time is None

    @property
    def is_admin(self) -> bool:
        """Whether it may manage users now."""
        return self.role == "admin" and self.enabled

    def edited(self, now: datetime, display_name: str | None, role: str | None) -> User:
        """With another display name or role, None: as it is. A change of the role ends the tokens given out before."""
        changed = replace(self, display_name=self.display_name if display_name is None else display_name)
        if role is not None and role != self.role:
            changed = replace(changed, role=role)._fenced(now)
        return self if changed == self else replace(changed, generation=self.generation + 1)

    def disabled(self, now: datetime) -> User:
        """Without any access. One that is disabled stays as it is."""
        if not self.enabled:
            return self
        return replace(self, disable_time=now, generation=self.generation + 1)._fenced(now)

    def let_in(self) -> User:
        """Enabled again. One that is enabled stays as it is."""
        return self if self.enabled else replace(self, disable_time=None, generation=self.generation + 1)

    def with_password(self, now: datetime, password_hash: str) -> User:
        """With another password; the tokens given out before end."""
        return replace(self, password_hash=password_hash, generation=self.generation + 1)._fenced(now)

    def _fenced(self, now: datetime) -> User:
        return replace(self, epoch=self.epoch + 1, epoch_time=now)


def capped(roles: Iterable[str], role: str) -> tuple[str, ...]:
    """`roles` with those above `role` lowered to it, each once; roles that are not people's stay."""
    most = LEVELS.index(role)
    return tuple(dict.fromkeys(LEVELS[min(LEVELS.index(each), most)] if each in LEVELS else each for each in roles))


def exceeds(roles: Iterable[str], role: str) -> bool:
    """Whether one of `roles` is above `role`."""
    return any(each in LEVELS and LEVELS.index(each) > LEVELS.index(role) for each in roles)
