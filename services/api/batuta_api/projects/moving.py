"""Changing projects with all that stands in them: renaming, moving, joining, removing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from batuta_api import topics
from batuta_api.projects import naming
from batuta_api.projects.closed import Access, access_of
from batuta_api.projects.model import Counted, Project
from batuta_api.tasks.model import TaskState
from batuta_api.violations import violation
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_rpc.errors import EtagMismatch, IllegalTransition, ProjectNameTaken, ProjectNotEmpty
from batuta_rpc.ids import Ids

_BUSY = (TaskState.QUEUED, TaskState.RUNNING, TaskState.STOPPING)


@dataclass(frozen=True)
class Which:
    """A project, and the version of it that is meant; an empty etag is any."""

    project_id: str
    etag: str = ""


@dataclass(frozen=True)
class Removed:
    """What a removal took away."""

    tasks: int
    projects: int


def statistics(work: Work, caller: Caller, project_id: str, subprojects: bool) -> tuple[list[Counted], int]:
    """What stands in a project, and how many projects are below it. Raises `ProjectNotFound`."""
    project, access = naming.seen(work, caller, project_id), access_of(work, caller)
    below = [each for each in work.projects.below(project.display_name) if access.sees(each.display_name)]
    ids = [project.id, *(each.id for each in below if subprojects)]
    return work.tasks.count(ids), len(below)


def change(work: Work, caller: Caller, which: Which, fields: Mapping[str, str], now: datetime, ids: Ids) -> Project:
    """Change fields of a project; another name takes all below it along.

    Raises `ProjectNotFound`, `EtagMismatch`, `FieldViolation`, `ProjectNameTaken`, `RoleMissing`.
    """
    project, access = guarded(work, caller, which), access_of(work, caller)
    access.check(project.display_name, "member")
    others = {name: value for name, value in fields.items() if name != "display_name"}
    if others:
        project = project.edited(now, **others)
        work.projects.put(project)
    name = naming.spelled(fields.get("display_name", project.display_name), "project.display_name")
    if name == project.display_name:
        return project
    _check_outside(project, name, "project.display_name")
    _check_rights(work, access, project)
    access.check(name, "member")
    taken = work.projects.named(name)
    if taken is not None:
        raise ProjectNameTaken(
            f"there is a project {name!r} already; merge the two to join them",
            resource=("project", taken.id),
            project_id=taken.id,
            name=name,
        )
    naming.ensure_parents(work, name, now, ids)
    _relocate(work, project, name, now)
    return naming.find(work, project.id)


def merge(work: Work, caller: Caller, which: Which, into_id: str, now: datetime) -> Project:
    """Put all of a project into another one.

    Raises `ProjectNotFound`, `EtagMismatch`, `FieldViolation`, `RoleMissing`.
    """
    project, into = guarded(work, caller, which), naming.seen(work, caller, into_id)
    _check_outside(project, into.display_name, "into_project_id")
    access = access_of(work, caller)
    _check_rights(work, access, project)
    for each in [project, *work.projects.below(project.display_name)]:
        # Below the one that is joined there may be closed ones of the same names.
        access.check(into.display_name + each.display_name[len(project.display_name) :], "member")
    _relocate(work, project, into.display_name, now)
    return naming.find(work, into.id)


def remove(work: Work, caller: Caller, which: Which, delete_tasks: bool, force: bool, now: datetime) -> Removed:
    """Remove a project and all below it; its tasks are deleted where that is asked for.

    Raises `ProjectNotFound`, `EtagMismatch`, `ProjectNotEmpty`, `IllegalTransition`, `RoleMissing`.
    """
    project = guarded(work, caller, which)
    _check_rights(work, access_of(work, caller), project)
    gone = [project, *work.projects.below(project.display_name)]
    ids = [each.id for each in gone]
    counted = work.tasks.count(ids)
    total = sum(each.count for each in counted)
    if total and not delete_tasks:
        raise ProjectNotEmpty(
            f"{total} tasks stand in project {project.display_name!r} or below it; move them, or have them deleted",
            resource=("project", project.id),
            project_id=project.id,
            tasks=total,
        )
    _check_deletable(project, counted, force)
    deleted = work.tasks.delete_all(ids, now, now + timedelta(days=work.limits.deleted_days)) if total else 0
    for each in gone:
        work.members.put(each.id, ())
        work.projects.remove(each.id)
    work.announce(topics.TASKS)
    return Removed(deleted, len(gone))


def guarded(work: Work, caller: Caller, which: Which) -> Project:
    """The project, if it is there for the caller and has not changed. Raises `ProjectNotFound`, `EtagMismatch`."""
    project = naming.seen(work, caller, which.project_id)
    if which.etag and which.etag != project.etag:
        raise EtagMismatch(
            f"project {project.display_name!r} has changed since it was read; read it again",
            resource=("project", project.id),
            project_id=project.id,
            etag=project.etag,
        )
    return project


def _check_rights(work: Work, access: Access, project: Project) -> None:
    """Who moves or removes a project must be an admin of every closed one that goes along."""
    for each in [project, *work.projects.below(project.display_name)]:
        access.check(each.display_name, "admin")


def _check_outside(project: Project, name: str, field: str) -> None:
    if project.holds(name):
        text = f"project {project.display_name!r} cannot be put into itself"
        raise violation(field, text)


def _check_deletable(project: Project, counted: Sequence[Counted], force: bool) -> None:
    refused = [*_BUSY, *(() if force else (TaskState.PUBLISHED,))]
    for state in refused:
        count = sum(each.count for each in counted if each.state == state)
        if count:
            raise IllegalTransition(
                f"{count} tasks in project {project.display_name!r} or below it are {state.name} "
                "and cannot become DELETED",
                resource=("project", project.id),
                project_id=project.id,
                state=state.name,
                wanted="DELETED",
            )


def _relocate(work: Work, project: Project, name: str, now: datetime) -> None:
    """Give a project and all below it names under `name`; where one is there already, the two are joined."""
    for each in [project, *work.projects.below(project.display_name)]:
        wanted = name + each.display_name[len(project.display_name) :]
        there = work.projects.named(wanted)
        if there is None:
            moved = each.edited(now, display_name=wanted)
            work.projects.put(moved)
        else:
            moved = there
            work.members.put(each.id, ())
            work.projects.remove(each.id)
        work.tasks.reproject(each.id, moved, now)
    work.announce(topics.TASKS)
