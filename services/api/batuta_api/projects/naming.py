"""Making projects, and finding them by name."""

from __future__ import annotations

from datetime import datetime

from batuta_api.projects.closed import access_of
from batuta_api.projects.model import Project, full_name, lineage
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_rpc.errors import FieldViolation, ProjectNameTaken, ProjectNotFound
from batuta_rpc.ids import Ids


def ensure(work: Work, caller: Caller, name: str, now: datetime, ids: Ids) -> Project:
    """The project of that name, for one who puts a task there; it and its parents are made where they are missing.

    Raises `FieldViolation`, `RoleMissing`.
    """
    name = spelled(name, "project_name")
    access_of(work, caller).check(name, "member")
    known = work.projects.named(name)
    return known or _make(work, name, "", now, ids)


def create(work: Work, caller: Caller, name: str, description: str, now: datetime, ids: Ids) -> Project:
    """Make a project and its missing parents. Raises `FieldViolation`, `ProjectNameTaken`, `RoleMissing`."""
    name = spelled(name, "display_name")
    access_of(work, caller).check(name, "member")
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
        raise _missing(project_id)
    return project


def seen(work: Work, caller: Caller, project_id: str) -> Project:
    """By id, if it is there for the caller. Raises `ProjectNotFound`."""
    project = find(work, project_id)
    if not access_of(work, caller).sees(project.display_name):
        raise _missing(project_id)
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


def _missing(project_id: str) -> ProjectNotFound:
    return ProjectNotFound(f"there is no project {project_id}", resource=("project", project_id), project_id=project_id)


def _make(work: Work, name: str, description: str, now: datetime, ids: Ids) -> Project:
    ensure_parents(work, name, now, ids)
    made = Project(ids.new_id(), name, now, description)
    work.projects.add(made)
    return made
