"""Which projects a caller sees, and as what: the innermost closed project of a name decides, an open one lets in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import TYPE_CHECKING

from batuta_api.projects.model import lineage
from batuta_chassis.caller import Caller
from batuta_rpc.errors import RoleMissing

if TYPE_CHECKING:
    from batuta_api.work import Work

LEVELS = ("viewer", "member", "admin")
_UNBOUND = frozenset({"admin", "agent", "service", "attempt"})
"""Roles that closed projects do not concern: an attempt reaches its own task only, the others need all of them."""
Shown = tuple[tuple[str, bool], ...]
"""Closed projects by name, outer ones first, and whether what is in them is shown."""


@dataclass(frozen=True)
class Access:
    """`roles`: the caller's role in each closed project by full name; empty: none."""

    roles: Mapping[str, str]

    def deciding(self, name: str) -> str:
        """The full name of the closed project that decides about `name`; empty: none does."""
        return next((each for each in reversed(lineage(name)) if each in self.roles), "") if self.roles else ""

    def role(self, name: str) -> str | None:
        """The caller's role in the project of that name: empty is none, and None is that everybody gets in."""
        decides = self.deciding(name)
        return self.roles[decides] if decides else None

    def sees(self, name: str) -> bool:
        """Whether the project of that name is there for the caller."""
        return self.role(name) != ""

    def check(self, name: str, needed: str) -> None:
        """Raise `RoleMissing` when the caller's role in the project of that name is less than `needed`."""
        role = self.role(name)
        if role is None or (role and LEVELS.index(role) >= LEVELS.index(needed)):
            return
        held = f"you are {role} in it" if role else "you are not in it"
        raise RoleMissing(
            f"project {self.deciding(name)!r} is closed, and this is for its {needed}s; {held}",
            project=self.deciding(name),
            needed=needed,
        )

    @property
    def shown(self) -> Shown:
        """For lists."""
        return tuple((name, bool(self.roles[name])) for name in sorted(self.roles, key=lambda each: each.count("/")))


EVERYTHING = Access(MappingProxyType({}))


def access_of(work: Work, caller: Caller) -> Access:
    """What is there for a caller."""
    if caller.roles & _UNBOUND:
        return EVERYTHING
    roles = work.members.roles(caller.subject)
    return Access(roles) if roles else EVERYTHING


def is_shown(name: str, shown: Shown) -> bool:
    """Whether something in the project of that name is in a list."""

    def fold(seen: bool, rule: tuple[str, bool]) -> bool:
        within = name == rule[0] or name.startswith(f"{rule[0]}/")
        return rule[1] if within else seen

    return reduce(fold, shown, True)
