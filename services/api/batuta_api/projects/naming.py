"""Making projects, and finding them by name."""

from __future__ import annotations

from datetime import datetime

from batuta_api.projects.model import Project, full_name, lineage
from batuta_api.work import Work
from batuta_rpc.errors import FieldViolation, ProjectNameTaken, ProjectNotFound
from batuta_rpc.ids import Ids


def ensure(work: Work, name: str, now: datetime, ids: Ids) -> Project:
    """The project of that name; it and its parents are made where they are missing. Raises `FieldViolation`."""
    name = spelled(name, "project_name")
    known = work.projects.named(name)
    return known or _make(work, name, "", now, ids)


def create(work: Work, name: str, description: str, now: datetime, ids: Ids) -> Project:
    """Make a project and its missing parents. Raises `FieldViolation`, `ProjectNameTaken`."""
    name = spelled(name, "display_name")
    known = work.projects.named(name)
    if known is not None:
        raise ProjectNameTaken(
            f"there is a project {name!r} already", resource=("project", known.id), project_id=known.id, name=name
        )
    return _make(work, name, description, now, ids)


def find(work: Work, project_id: str) -> Project:
    """By id. Raises `ProjectNotFound`."""
    project = work.projects.get(project_id)
    if project is None:
        raise ProjectNotFound(
            f"there is no project {project_id}", resource=("project", project_id), project_id=project_id
        )
    return project


def spelled(name: str, field: str) -> str:
    """The one spelling of a project's name. Raises `FieldViolation` naming `field`."""
    try:
        return full_name(name)
    except ValueError as error:
        raise FieldViolation(str(error), field_violations=[(field, str(error))]) from None


def ensure_parents(work: Work, name: str, now: datetime, ids: Ids) -> None:
    """Make the projects above one of that name where they are missing."""
    for parent in lineage(name)[:-1]:
        if work.projects.named(parent) is None:
            work.projects.add(Project(ids.new_id(), parent, now))


def _make(work: Work, name: str, description: str, now: datetime, ids: Ids) -> Project:
    ensure_parents(work, name, now, ids)
    made = Project(ids.new_id(), name, now, description)
    work.projects.add(made)
    return made
