"""Projects between contract and model."""

from __future__ import annotations

from batuta_api.moments import stamp
from batuta_api.projects.model import Project
from batuta_proto.projects import v1 as projects


def render(project: Project) -> projects.Project:
    """As the contract shows it."""
    return projects.Project(
        id=project.id,
        etag=project.etag,
        display_name=project.display_name,
        description=project.description,
        create_time=stamp(project.create_time),
    )
