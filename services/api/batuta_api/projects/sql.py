"""Projects in SQL."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import ColumnElement, Connection, RowMapping, bindparam, delete, func, insert, select, update

from batuta_api.projects.model import Project
from batuta_api.projects.tables import projects
from batuta_api.schema import values

_BY_ID = select(projects).where(projects.c.id == bindparam("wanted"))
_BY_NAME = select(projects).where(projects.c.display_name == bindparam("wanted"))


class SqlProjectStore:
    """`ProjectStore` over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, project: Project) -> None:
        """Keep a new project."""
        self._connection.execute(insert(projects), asdict(project))

    def get(self, project_id: str) -> Project | None:
        """By id."""
        return _project(self._connection.execute(_BY_ID, {"wanted": project_id}).mappings().one_or_none())

    def named(self, display_name: str) -> Project | None:
        """By full name."""
        return _project(self._connection.execute(_BY_NAME, {"wanted": display_name}).mappings().one_or_none())

    def put(self, project: Project) -> None:
        """Keep everything of a project that exists."""
        self._connection.execute(update(projects).where(projects.c.id == project.id).values(**asdict(project)))

    def remove(self, project_id: str) -> None:
        """Forget a project."""
        self._connection.execute(delete(projects).where(projects.c.id == project_id))

    def below(self, name: str) -> list[Project]:
        """All projects below the one of that full name, at any depth, by name."""
        query = select(projects).where(_below(name)).order_by(projects.c.display_name)
        return [Project(**values(row)) for row in self._connection.execute(query).mappings()]

    def page(self, display_name: str, below: str, after: str, limit: int) -> list[Project]:
        """The next projects by name after a name."""
        query = select(projects).where(projects.c.display_name > after).order_by(projects.c.display_name).limit(limit)
        if display_name:
            query = query.where(projects.c.display_name == display_name)
        if below:
            query = query.where(_below(below))
        return [Project(**values(row)) for row in self._connection.execute(query).mappings()]


def _below(name: str) -> ColumnElement[bool]:
    # Not LIKE, nor a span of names: databases differ in what is alike and in what comes first.
    return func.substr(projects.c.display_name, 1, len(name) + 1) == f"{name}/"


def _project(row: RowMapping | None) -> Project | None:
    return None if row is None else Project(**values(row))
