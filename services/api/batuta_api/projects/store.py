"""What is kept of projects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from batuta_api.projects.closed import Shown
from batuta_api.projects.model import Member, Project


class ProjectStore(Protocol):
    """The projects of one transaction."""

    def add(self, project: Project) -> None:
        """Keep a new project. Its name must be free."""
        ...

    def get(self, project_id: str) -> Project | None:
        """By id."""
        ...

    def named(self, display_name: str) -> Project | None:
        """By full name."""
        ...

    def put(self, project: Project) -> None:
        """Keep everything of a project that exists. Its name must be free or its own."""
        ...

    def remove(self, project_id: str) -> None:
        """Forget a project."""
        ...

    def below(self, name: str) -> list[Project]:
        """All projects below the one of that full name, at any depth, by name."""
        ...

    def page(self, display_name: str, below: str, after: str, limit: int, shown: Shown = ()) -> list[Project]:
        """The next projects by name after a name, of those shown; only the one of that name, only those below that
        one, where these are not empty."""
        ...


class MemberStore(Protocol):
    """Who is in which closed project, within one transaction."""

    def roles(self, user_name: str) -> dict[str, str]:
        """The role of a user in every closed project by its full name; empty where it has none."""
        ...

    def of(self, project_id: str) -> list[Member]:
        """The members of a project, by name."""
        ...

    def put(self, project_id: str, members: Sequence[Member]) -> None:
        """Keep these as the members of a project, and nobody else."""
        ...
