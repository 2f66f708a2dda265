"""Projects between contract and model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from batuta_api.moments import stamp
from batuta_api.projects.members import Admission
from batuta_api.projects.model import Counted, Member, Project
from batuta_api.violations import violation
from batuta_proto.projects import v1 as projects

_ROLES = {"viewer": 1, "member": 2, "admin": 3}
_PATHS = ("display_name", "description", "default_output_uri")


def render(project: Project) -> projects.Project:
    """As the contract shows it."""
    return projects.Project(
        id=project.id,
        etag=project.etag,
        display_name=project.display_name,
        description=project.description,
        create_time=stamp(project.create_time),
        default_output_uri=project.default_output_uri,
        update_time=stamp(project.update_time or project.create_time),
        closed=project.closed,
    )


def access(admission: Admission) -> projects.ProjectAccess:
    """As the contract shows it."""
    members = [
        projects.ProjectMember(user_name=each.user_name, role=cast("Any", _ROLES[each.role]))
        for each in admission.members
    ]
    return projects.ProjectAccess(closed=admission.closed, members=members, closed_above=admission.closed_above)


def members(asked: projects.SetProjectAccessRequest) -> list[Member]:
    """The members that a request names."""
    names = {number: name for name, number in _ROLES.items()}
    return [Member(each.user_name, names[each.role]) for each in asked.members]


def statistics(counted: Sequence[Counted], subprojects: int) -> projects.ProjectStatistics:
    """As the contract shows it."""
    by_state: dict[int, int] = {}
    for each in counted:
        by_state[each.state] = by_state.get(each.state, 0) + each.count
    return projects.ProjectStatistics(
        task_count_by_state=by_state,
        task_count=sum(each.count for each in counted),
        archived_count=sum(each.count for each in counted if each.archived),
        subproject_count=subprojects,
        last_change_time=stamp(max((each.last_change for each in counted), default=None)),
    )


def edit(asked: projects.Project, paths: Sequence[str]) -> dict[str, str]:
    """The fields that a mask names. Raises `FieldViolation` for a path that is none."""
    if not paths:
        raise violation("update_mask", f"names nothing; the paths are: {', '.join(_PATHS)}, or `*` for all of them")
    wanted = _PATHS if list(paths) == ["*"] else paths
    for path in wanted:
        if path not in _PATHS:
            raise violation("update_mask", f"{path!r} cannot be set; the paths are: {', '.join(_PATHS)}")
    return {path: str(getattr(asked, path)) for path in wanted}
