"""What a project is: a named place for tasks. Names nest by "/"."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Project:
    """A place for tasks. `display_name` is the full name, unique after `full_name`."""

    id: str
    display_name: str
    create_time: datetime
    description: str = ""
    generation: int = 1
    default_output_uri: str = ""
    update_time: datetime | None = None
    closed: bool = False
    """To all but its members and admins, with all that is below."""

    @property
    def etag(self) -> str:
        """Names this version of the project."""
        return str(self.generation)

    def edited(self, now: datetime, **fields: Any) -> Project:
        """The next version of the project, with these fields changed."""
        return replace(self, generation=self.generation + 1, update_time=now, **fields)

    def holds(self, name: str) -> bool:
        """Whether that is the name of this project or of one below it."""
        return name == self.display_name or name.startswith(f"{self.display_name}/")


@dataclass(frozen=True)
class Member:
    """A user in a closed project. `role` is viewer, member or admin."""

    user_name: str
    role: str


@dataclass(frozen=True)
class Counted:
    """How many tasks of one state, archived or not, and when the newest of their changes was."""

    state: int
    archived: bool
    count: int
    last_change: datetime


def full_name(name: str) -> str:
    """The one spelling of a name: composed Unicode, no spaces around its parts.

    Raises `ValueError` when a part is empty.
    """
    parts = [part.strip() for part in unicodedata.normalize("NFC", name).split("/")]
    if not all(parts):
        raise ValueError("no part of a project's name between the slashes may be empty")
    return "/".join(parts)


def lineage(name: str) -> list[str]:
    """The names of all parents, outermost first, and the name itself: `a/b` gives `a`, `a/b`."""
    parts = name.split("/")
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
