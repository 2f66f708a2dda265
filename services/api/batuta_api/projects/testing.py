"""Projects in memory, for tests."""

from __future__ import annotations

from collections.abc import Sequence

from batuta_api.projects.closed import Shown, is_shown
from batuta_api.projects.model import Member, Project


class MemoryProjectStore:
    """`ProjectStore` in a dictionary."""

    def __init__(self) -> None:
        self._rows: dict[str, Project] = {}

    def add(self, project: Project) -> None:
        """Keep a new project."""
        if project.id in self._rows or self.named(project.display_name) is not None:
            raise ValueError(f"project {project.display_name!r} exists")
        self._rows[project.id] = project

    def get(self, project_id: str) -> Project | None:
        """By id."""
        return self._rows.get(project_id)

    def named(self, display_name: str) -> Project | None:
        """By full name."""
        return next((each for each in self._rows.values() if each.display_name == display_name), None)

    def put(self, project: Project) -> None:
        """Keep everything of a project that exists."""
        other = self.named(project.display_name)
        if project.id not in self._rows or (other is not None and other.id != project.id):
            raise ValueError(f"project {project.display_name!r} exists, or {project.id} does not")
        self._rows[project.id] = project

    def remove(self, project_id: str) -> None:
        """Forget a project."""
        del self._rows[project_id]

    def below(self, name: str) -> list[Project]:
        """All projects below the one of that full name, at any depth, by name."""
        found = [each for each in self._rows.values() if each.display_name.startswith(f"{name}/")]
        return sorted(found, key=lambda each: each.display_name)

    def page(self, display_name: str, below: str, after: str, limit: int, shown: Shown = ()) -> list[Project]:
        """The next projects by name after a name."""
        rows = self.below(below) if below else self._rows.values()
        found = [each for each in rows if each.display_name > after and is_shown(each.display_name, shown)]
        if display_name:
            found = [each for each in found if each.display_name == display_name]
        return sorted(found, key=lambda each: each.display_name)[:limit]


class MemoryMemberStore:
    """`MemberStore` in a dictionary."""

    def __init__(self, projects: MemoryProjectStore) -> None:
        self._projects = projects
        self._rows: dict[str, dict[str, str]] = {}

    def roles(self, user_name: str) -> dict[str, str]:
        """The role of a user in every closed project by its full name; empty where it has none."""
        closed = [each for each in self._projects.page("", "", "", 1_000_000) if each.closed]
        return {each.display_name: self._rows.get(each.id, {}).get(user_name, "") for each in closed}

    def of(self, project_id: str) -> list[Member]:
        """The members of a project, by name."""
        return [Member(name, role) for name, role in sorted(self._rows.get(project_id, {}).items())]

    def put(self, project_id: str, members: Sequence[Member]) -> None:
        """Keep these as the members of a project, and nobody else."""
        self._rows[project_id] = {each.user_name: each.role for each in members}
