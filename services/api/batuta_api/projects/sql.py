"""Projects in SQL."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    bindparam,
    delete,
    func,
    insert,
    not_,
    or_,
    select,
    true,
    update,
)

from batuta_api.projects.closed import Shown
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

    def page(self, display_name: str, below: str, after: str, limit: int, shown: Shown = ()) -> list[Project]:
        """The next projects by name after a name."""
        query = select(projects).where(projects.c.display_name > after).order_by(projects.c.display_name).limit(limit)
        if display_name:
            query = query.where(projects.c.display_name == display_name)
        if below:
            query = query.where(_below(below))
        if shown:
            query = query.where(shown_in(projects.c.display_name, shown))
        return [Project(**values(row)) for row in self._connection.execute(query).mappings()]


def shown_in(column: ColumnElement[str], shown: Shown) -> ColumnElement[bool]:
    """Whether a column of full names holds one that is shown."""
    found: ColumnElement[bool] = true()
    for name, seen in shown:
        within = or_(column == name, under(column, name))
        found = or_(found, within) if seen else and_(found, not_(within))
    return found


def under(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """Whether a column of full names holds one below `name`."""
    # Not LIKE, nor a span of names: databases differ in what is alike and in what comes first.
    return func.substr(column, 1, len(name) + 1) == f"{name}/"


def _below(name: str) -> ColumnElement[bool]:
    return under(projects.c.display_name, name)


def _project(row: RowMapping | None) -> Project | None:
    return None if row is None else Project(**values(row))
