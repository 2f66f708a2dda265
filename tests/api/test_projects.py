"""Projects with all that stands in them: renamed, moved, joined, removed, counted."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from batuta_proto.projects import v1 as projects
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.errors import (
    EtagMismatch,
    FieldViolation,
    IllegalTransition,
    ProjectNameTaken,
    ProjectNotEmpty,
    ProjectNotFound,
)


async def named(member: Any, name: str) -> projects.Project:
    """The project of that name."""
    wanted = projects.ListProjectsRequest.Filter(display_name=name)
    found = (await member.projects.ListProjects(projects.ListProjectsRequest(filter=wanted))).projects
    assert len(found) == 1, name
    return found[0]


async def names(member: Any) -> list[str]:
    """All names."""
    return [each.display_name for each in (await member.projects.ListProjects(projects.ListProjectsRequest())).projects]


async def update(member: Any, project: projects.Project, *paths: str, **fields: Any) -> projects.Project:
    """Change fields of a project."""
    asked = projects.Project(id=project.id, etag=project.etag, **fields)
    request = projects.UpdateProjectRequest(project=asked, update_mask=FieldMask(paths=paths))
    return (await member.projects.UpdateProject(request)).project


async def test_a_renamed_project_takes_all_below_it_and_their_tasks_along(member: Any) -> None:
    one, two = await member.draft(project="a/b"), await member.draft(project="a/b/c")
    other = await member.draft(project="a/bc")
    project = await named(member, "a/b")
    renamed = await update(member, project, "display_name", display_name="x/y")
    assert (renamed.id, renamed.display_name) == (project.id, "x/y")
    assert await names(member) == ["a", "a/bc", "x", "x/y", "x/y/c"]
    shown = [await member.get(task.id) for task in (one, two, other)]
    assert [task.spec.project_name for task in shown] == ["x/y", "x/y/c", "a/bc"]
    assert shown[0].etag != one.etag
    wanted = tasks.ListTasksRequest.Filter(project_name="x", include_subprojects=True)
    assert len((await member.tasks.ListTasks(tasks.ListTasksRequest(filter=wanted))).tasks) == 2


async def test_what_cannot_be_changed_is_refused_by_name(member: Any) -> None:
    await member.draft(project="a/b")
    a, b = await named(member, "a"), await named(member, "a/b")
    with pytest.raises(FieldViolation, match="cannot be put into itself"):
        await update(member, a, "display_name", display_name="a/b/c")
    with pytest.raises(ProjectNameTaken):
        await update(member, b, "display_name", display_name="a")
    with pytest.raises(FieldViolation, match="cannot be set"):
        await update(member, a, "create_time")
    with pytest.raises(FieldViolation, match="names nothing"):
        await update(member, a)
    changed = await update(member, a, "description", "default_output_uri", description="d", default_output_uri="s3://b")
    assert (changed.display_name, changed.description, changed.default_output_uri) == ("a", "d", "s3://b")
    with pytest.raises(EtagMismatch):
        await update(member, a, "description", description="late")
    with pytest.raises(ProjectNotFound):
        await update(member, projects.Project(id="nobody"), "description")


async def test_two_projects_are_joined_with_those_below(member: Any) -> None:
    made = [await member.draft(project=name) for name in ("from", "from/x", "from/y", "to/x", "to")]
    source, target = await named(member, "from"), await named(member, "to")
    request = projects.MergeProjectRequest(project_id=source.id, into_project_id=target.id)
    assert (await member.projects.MergeProject(request)).project.id == target.id
    assert await names(member) == ["to", "to/x", "to/y"]
    shown = [await member.get(task.id) for task in made]
    assert [task.spec.project_name for task in shown] == ["to", "to/x", "to/y", "to/x", "to"]
    assert len({task.spec.project_id for task in shown}) == 3
    request = projects.MergeProjectRequest(project_id=target.id, into_project_id=target.id)
    with pytest.raises(FieldViolation):
        await member.projects.MergeProject(request)


async def test_a_project_goes_with_its_tasks_only_when_asked_and_none_of_them_works(member: Any) -> None:
    draft = await member.draft(project="a/b")
    running = await member.draft(project="a/c")
    await member.tasks.StartTask(tasks.StartTaskRequest(task_id=running.id))
    project = await named(member, "a")
    with pytest.raises(ProjectNotEmpty) as caught:
        await member.projects.DeleteProject(projects.DeleteProjectRequest(project_id=project.id))
    assert caught.value.metadata["tasks"] == "2"
    request = projects.DeleteProjectRequest(project_id=project.id, delete_tasks=True)
    with pytest.raises(IllegalTransition, match=r"1 tasks .* are RUNNING"):
        await member.projects.DeleteProject(request)
    assert not (await member.get(draft.id)).HasField("delete_time")
    await member.tasks.FinishTask(
        tasks.FinishTaskRequest(task_id=running.id, attempt=1, state=tasks.TASK_STATE_COMPLETED)
    )
    gone = await member.projects.DeleteProject(request)
    assert (gone.deleted_task_count, gone.deleted_project_count) == (2, 3)
    assert await names(member) == []
    assert (await member.get(draft.id)).HasField("delete_time")
    # Whoever takes the deletion back finds the project made again.
    back = (await member.tasks.UndeleteTask(tasks.UndeleteTaskRequest(task_id=draft.id))).task
    assert back.spec.project_id == (await named(member, "a/b")).id


async def test_what_stands_in_a_project_is_counted(member: Any) -> None:
    for _ in range(2):
        await member.draft(project="a")
    archived = await member.draft(project="a/b")
    await member.tasks.ArchiveTask(tasks.ArchiveTaskRequest(task_id=archived.id))
    deleted = await member.draft(project="a")
    await member.tasks.DeleteTask(tasks.DeleteTaskRequest(task_id=deleted.id))
    project = await named(member, "a")
    request = projects.GetProjectStatisticsRequest(project_id=project.id, include_subprojects=True)
    found = (await member.projects.GetProjectStatistics(request)).statistics
    assert (dict(found.task_count_by_state), found.task_count, found.archived_count) == ({10: 3}, 3, 1)
    assert found.subproject_count == 1
    assert found.HasField("last_change_time")
    request.include_subprojects = False
    assert (await member.projects.GetProjectStatistics(request)).statistics.task_count == 2
