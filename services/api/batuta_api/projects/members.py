"""Closing projects, and saying who is in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from batuta_api import topics
from batuta_api.projects import moving
from batuta_api.projects.closed import access_of
from batuta_api.projects.model import Member, Project
from batuta_api.projects.naming import seen
from batuta_api.violations import violation
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_rpc.errors import RoleMissing, UserNotFound


@dataclass(frozen=True)
class Admission:
    """Who gets into a project: `closed_above` is the closed project above it that decides, if one does."""

    closed: bool
    members: tuple[Member, ...] = ()
    closed_above: str = ""


def get(work: Work, caller: Caller, project_id: str) -> Admission:
    """Who gets into a project. Raises `ProjectNotFound`."""
    return _admission(work, seen(work, caller, project_id))


def put(
    work: Work, caller: Caller, which: moving.Which, closed: bool, members: Sequence[Member], now: datetime
) -> Admission:
    """Close a project or open it. Raises `ProjectNotFound`, `EtagMismatch`, `RoleMissing`, `UserNotFound`, …"""
    project = moving.guarded(work, caller, which)
    access = access_of(work, caller)
    access.check(project.display_name, "admin")
    if "admin" not in caller.roles and not access.deciding(project.display_name):
        raise RoleMissing("only an admin closes an open project", needed="admin")
    if members and not closed:
        raise violation("members", "an open project has none; set closed")
    names = [each.user_name for each in members]
    for place, name in enumerate(names):
        if work.people.get(name) is None:
            raise UserNotFound(f"there is no user {name!r}", resource=("user", name), user_name=name)
        if name in names[:place]:
            raise violation(f"members[{place}].user_name", f"{name!r} is there twice")
    changed = replace(project.edited(now), closed=closed)
    work.projects.put(changed)
    work.members.put(project.id, members)
    work.announce(topics.TASKS)
    return _admission(work, changed)


def _admission(work: Work, project: Project) -> Admission:
    if project.closed:
        return Admission(True, tuple(work.members.of(project.id)))
    closed = work.members.roles("")
    above = [name for name in closed if project.display_name.startswith(f"{name}/")]
    return Admission(False, closed_above=max(above, key=len, default=""))
