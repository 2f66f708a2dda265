"""Closed projects: what is in them is there for their members only (S3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from batuta_chassis.contract import contract
from batuta_proto.artifacts import v1 as artifacts
from batuta_proto.logs import v1 as logs
from batuta_proto.metrics import v1 as metrics
from batuta_proto.projects import v1 as projects
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_proto.users import v1 as users
from batuta_rpc.errors import (
    ArtifactNotFound,
    EntryNotFound,
    FieldViolation,
    ProjectNotFound,
    RoleMissing,
    RpcError,
    TaskNotFound,
    UserNotFound,
)

VIEWER, MEMBER, ADMIN = types.ROLE_VIEWER, types.ROLE_MEMBER, types.ROLE_ADMIN


class House:
    """Projects `open`, `secret` and `secret/lab`; ada is a member of `secret`, eve a viewer, bob is not in it."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self.root = api.stubs("admin", subject="root")
        self.ada, self.eve, self.bob = (api.stubs("member", subject=name) for name in ("ada", "eve", "bob"))
        self.tasks: dict[str, str] = {}

    async def build(self) -> House:
        for name in ("ada", "eve", "bob"):
            await self.root.users.CreateUser(users.CreateUserRequest(user_name=name, role=MEMBER))
        for name in ("open", "secret", "secret/lab"):
            self.tasks[name] = (await self.ada.draft("digits", name)).id
        await self.close("secret", ada=MEMBER, eve=VIEWER)
        return self

    async def project(self, name: str) -> projects.Project:
        wanted = projects.ListProjectsRequest.Filter(display_name=name)
        (found,) = (await self.root.projects.ListProjects(projects.ListProjectsRequest(filter=wanted))).projects
        return found

    async def close(self, name: str, by: Any = None, closed: bool = True, **members: int) -> projects.ProjectAccess:
        named = [projects.ProjectMember(user_name=who, role=role) for who, role in members.items()]  # type: ignore[arg-type]
        request = projects.SetProjectAccessRequest(
            project_id=(await self.project(name)).id, closed=closed, members=named
        )
        return (await (by or self.root).projects.SetProjectAccess(request)).access


@pytest.fixture
async def house(api: Any) -> House:
    return await House(api).build()


async def seen(stubs: Any) -> set[str]:
    """Names of the projects of the tasks that a list shows."""
    found = (await stubs.tasks.ListTasks(tasks.ListTasksRequest())).tasks
    return {task.spec.project_name for task in found}


async def first(stream: Any) -> Any:
    """The first answer of a stream, which is cancelled then."""
    try:
        return await stream.read()
    finally:
        stream.cancel()


def reads(task_id: str, project_id: str) -> dict[str, Callable[[Any], Awaitable[Any]]]:
    """Every call that reads something of a task or of a project."""
    return {
        "GetTask": lambda to: to.tasks.GetTask(tasks.GetTaskRequest(task_id=task_id)),
        "WatchTask": lambda to: first(to.tasks.WatchTask(tasks.WatchTaskRequest(task_id=task_id))),
        "ListAttempts": lambda to: to.tasks.ListAttempts(tasks.ListAttemptsRequest(task_id=task_id)),
        "ReadLog": lambda to: first(to.logs.ReadLog(logs.ReadLogRequest(task_id=task_id))),
        "ReadScalars": lambda to: first(to.metrics.ReadScalars(metrics.ReadScalarsRequest(task_id=task_id))),
        "ListScalars": lambda to: to.metrics.ListScalars(metrics.ListScalarsRequest(task_id=task_id)),
        "ListArtifacts": lambda to: to.artifacts.ListArtifacts(artifacts.ListArtifactsRequest(task_id=task_id)),
        "GetProject": lambda to: to.projects.GetProject(projects.GetProjectRequest(project_id=project_id)),
        "GetProjectAccess": lambda to: to.projects.GetProjectAccess(
            projects.GetProjectAccessRequest(project_id=project_id)
        ),
        "GetProjectStatistics": lambda to: to.projects.GetProjectStatistics(
            projects.GetProjectStatisticsRequest(project_id=project_id)
        ),
    }


def writes(task_id: str) -> dict[str, Callable[[Any], Awaitable[Any]]]:
    """Calls that change a task, or put one there."""
    renamed = tasks.UpdateTaskRequest(
        task=tasks.Task(id=task_id, display_name="x"), update_mask=FieldMask(paths=["display_name"])
    )
    return {
        "UpdateTask": lambda to: to.tasks.UpdateTask(renamed),
        "TagTask": lambda to: to.tasks.TagTask(tasks.TagTaskRequest(task_id=task_id, add=["x"])),
        "StartTask": lambda to: to.tasks.StartTask(tasks.StartTaskRequest(task_id=task_id)),
        "AbortTask": lambda to: to.tasks.AbortTask(tasks.AbortTaskRequest(task_id=task_id)),
        "DeleteTask": lambda to: to.tasks.DeleteTask(tasks.DeleteTaskRequest(task_id=task_id)),
        "MoveTask": lambda to: to.tasks.MoveTask(tasks.MoveTaskRequest(task_id=task_id, project_name="open")),
    }


def test_every_call_about_a_task_or_a_project_is_asked_here() -> None:
    asked = {*reads("", ""), *writes("")}
    elsewhere = {
        *("AppendLog", "AppendScalars", "FinishTask"),  # by runs
        *("CreateProject", "CreateTask", "CloneTask", "ListProjects", "ListTasks", "BatchGetTasks", "WatchTasks"),
        *("UpdateProject", "MergeProject", "DeleteProject", "SetProjectAccess"),
        *("EnqueueTask", "DequeueTask", "ResetTask", "PublishTask", "ArchiveTask", "UnarchiveTask", "UndeleteTask"),
        "BatchChangeTasks",  # runs the others
        *("UploadArtifact", "GetArtifact", "ReadArtifact", "DeleteArtifact"),
    }
    areas = ("tasks", "projects", "metrics", "logs", "artifacts")
    known = {rule.name.rpartition("/")[2] for rule in contract().rules if rule.name.split(".")[1] in areas}
    assert known - asked - elsewhere == set()


@pytest.mark.parametrize("project", ["secret", "secret/lab"])
async def test_s3_what_is_in_a_closed_project_is_not_there_for_others(house: House, project: str) -> None:
    task_id, project_id = house.tasks[project], (await house.project(project)).id
    for call in {**reads(task_id, project_id), **writes(task_id)}.values():
        with pytest.raises((TaskNotFound, ProjectNotFound)):
            await call(house.bob)
    for call in reads(task_id, project_id).values():
        await call(house.eve)
        await call(house.root)


async def test_s3_lists_counts_and_watches_leave_closed_projects_out(house: House) -> None:
    assert await seen(house.bob) == {"open"}
    assert await seen(house.ada) == await seen(house.eve) == await seen(house.root) == {"open", "secret", "secret/lab"}
    listed = (await house.bob.projects.ListProjects(projects.ListProjectsRequest())).projects
    assert [each.display_name for each in listed] == ["open"]
    asked = tasks.BatchGetTasksRequest(task_ids=[house.tasks["open"], house.tasks["secret"]])
    some = (await house.bob.tasks.BatchGetTasks(asked)).results
    assert [each.status.code for each in some] == [0, 5]
    watched = house.bob.tasks.WatchTasks(tasks.WatchTasksRequest())
    shown: list[str] = []
    while not (step := await watched.read()).synced:
        shown.append(step.task.spec.project_name)
    watched.cancel()
    assert shown == ["open"]


async def test_a_viewer_of_a_closed_project_changes_nothing_in_it(house: House) -> None:
    for call in writes(house.tasks["secret"]).values():
        with pytest.raises(RoleMissing, match="you are viewer in it"):
            await call(house.eve)
    for by, told in ((house.eve, "you are viewer in it"), (house.bob, "you are not in it")):
        with pytest.raises(RoleMissing, match=told):
            await by.draft("new", "secret/new")
    await house.ada.draft("new", "secret/new")


async def test_a_task_is_not_moved_or_cloned_into_a_project_that_is_closed_to_its_mover(house: House) -> None:
    moved = tasks.MoveTaskRequest(task_id=house.tasks["open"], project_name="secret")
    with pytest.raises(RoleMissing):
        await house.bob.tasks.MoveTask(moved)
    with pytest.raises(RoleMissing):
        await house.bob.tasks.CloneTask(tasks.CloneTaskRequest(task_id=house.tasks["open"], project_name="secret/lab"))


async def test_the_innermost_closed_project_decides(house: House) -> None:
    await house.close("secret/lab", bob=MEMBER)
    assert await seen(house.bob) == {"open", "secret/lab"}
    assert await seen(house.ada) == {"open", "secret"}
    await house.close("secret/lab", closed=False)
    assert await seen(house.bob) == {"open"}
    access = (
        await house.root.projects.GetProjectAccess(
            projects.GetProjectAccessRequest(project_id=(await house.project("secret/lab")).id)
        )
    ).access
    assert (access.closed, access.closed_above) == (False, "secret")


async def test_only_admins_of_a_closed_project_say_who_is_in_it_and_move_or_remove_it(house: House) -> None:
    secret = await house.project("secret")
    renamed = projects.UpdateProjectRequest(
        project=projects.Project(id=secret.id, display_name="public"), update_mask=FieldMask(paths=["display_name"])
    )
    removed = projects.DeleteProjectRequest(project_id=secret.id, delete_tasks=True)
    with pytest.raises(RoleMissing):
        await house.close("secret", by=house.ada, ada=ADMIN)
    for call in (house.ada.projects.UpdateProject(renamed), house.ada.projects.DeleteProject(removed)):
        with pytest.raises(RoleMissing, match="admins"):
            await call
    with pytest.raises(RoleMissing, match="only an admin closes an open project"):
        await house.close("open", by=house.ada, ada=ADMIN)
    await house.close("secret", ada=ADMIN)
    assert [each.user_name for each in (await house.close("secret", by=house.ada, ada=ADMIN, bob=VIEWER)).members] == [
        "ada",
        "bob",
    ]
    assert "secret" in await seen(house.bob)
    await house.ada.projects.UpdateProject(renamed)
    assert await seen(house.bob) == {"open", "public", "public/lab"}
    assert await seen(house.eve) == {"open"}


async def test_whoever_removes_or_moves_a_project_must_be_admin_of_the_closed_ones_below(house: House) -> None:
    await house.ada.draft("x", "open/inner")
    await house.close("open/inner", bob=ADMIN)
    opened = await house.project("open")
    with pytest.raises(RoleMissing):
        await house.ada.projects.DeleteProject(projects.DeleteProjectRequest(project_id=opened.id, delete_tasks=True))
    await house.bob.projects.DeleteProject(projects.DeleteProjectRequest(project_id=opened.id, delete_tasks=True))


@pytest.mark.parametrize(
    ("closed", "members", "error"),
    [
        (True, {"nobody": MEMBER}, UserNotFound),
        (False, {"ada": MEMBER}, FieldViolation),
        (True, {"ada": types.ROLE_AGENT}, FieldViolation),
    ],
)
async def test_members_that_cannot_be_are_refused(
    house: House, closed: bool, members: dict[str, int], error: type[RpcError]
) -> None:
    with pytest.raises(error):
        await house.close("secret", closed=closed, **members)
    assert "secret" in await seen(house.ada)


async def test_s3_artifacts_of_a_closed_project_are_there_for_its_members_only(house: House) -> None:
    task_id = house.tasks["secret"]
    made = await house.ada.upload(b"weights", task_id=task_id, name="model")
    got = artifacts.GetArtifactRequest(artifact_id=made.id)
    deleted = artifacts.DeleteArtifactRequest(artifact_id=made.id)
    with pytest.raises(ArtifactNotFound):
        await house.bob.artifacts.GetArtifact(got)
    with pytest.raises(ArtifactNotFound):
        await house.bob.download(made.id)
    with pytest.raises(ArtifactNotFound):
        await house.bob.artifacts.DeleteArtifact(deleted)
    with pytest.raises(TaskNotFound):
        await house.bob.upload(b"other", task_id=task_id, name="model")
    assert await house.eve.download(made.id) == b"weights"
    with pytest.raises(RoleMissing):
        await house.eve.artifacts.DeleteArtifact(deleted)
    with pytest.raises(RoleMissing):
        await house.eve.upload(b"other", task_id=task_id, name="model")


async def test_a_run_in_a_closed_project_writes_and_reads_its_own_task(house: House) -> None:
    task_id = house.tasks["secret"]
    await house.ada.tasks.StartTask(tasks.StartTaskRequest(task_id=task_id))
    run = house.api.run_of(task_id, 1)
    assert (await run.tasks.GetTask(tasks.GetTaskRequest(task_id=task_id))).task.id == task_id
    column = metrics.ScalarColumn(metric="loss", variant="train", iterations=[1], values=[0.5], time_unix_millis=[1])
    batch = metrics.AppendScalarsRequest(
        task_id=task_id, attempt=1, producer="p", first_sequence=1, last_sequence=1, columns=[column]
    )
    with pytest.raises(RoleMissing):
        await house.eve.metrics.AppendScalars(batch)
    assert (await run.metrics.AppendScalars(batch)).committed_sequence == 1


async def test_s3_entries_of_a_closed_project_are_moved_and_removed_by_its_members_only(house: House) -> None:
    asked = tasks.EnqueueTaskRequest(task_id=house.tasks["secret"], queue_name="default")
    entry_id = (await house.ada.tasks.EnqueueTask(asked)).entry_id
    await house.api.eventually(lambda: entry_id in house.api.queue.service.entries)
    asks: list[Callable[[Any], Awaitable[Any]]] = [
        lambda to: to.queues.MoveEntry(queues.MoveEntryRequest(entry_id=entry_id, first=True)),
        lambda to: to.queues.ReleaseEntry(queues.ReleaseEntryRequest(entry_id=entry_id)),
        lambda to: to.queues.RemoveEntry(queues.RemoveEntryRequest(entry_id=entry_id)),
    ]
    for ask in asks:
        with pytest.raises(EntryNotFound):
            await ask(house.bob)
        with pytest.raises(RoleMissing, match="you are viewer in it"):
            await ask(house.eve)
        await ask(house.ada)


async def test_a_finished_upload_is_told_again_to_those_only_who_may_see_its_task(house: House) -> None:
    task_id = house.tasks["secret"]
    made = await house.ada.upload(b"weights", task_id=task_id, name="model")
    again = {"upload_id": made.id, "task_id": task_id, "name": "model"}
    with pytest.raises(TaskNotFound):
        await house.bob.upload(b"weights", **again)
    assert (await house.ada.upload(b"weights", **again)).id == made.id


async def test_nothing_is_joined_into_a_closed_project_below_the_one_that_it_is_merged_into(house: House) -> None:
    await house.bob.draft("x", "mine/inner")
    await house.bob.draft("y", "open/inner")
    await house.close("open/inner", ada=MEMBER)
    mine, opened = await house.project("mine"), await house.project("open")
    merged = projects.MergeProjectRequest(project_id=mine.id, into_project_id=opened.id)
    with pytest.raises(RoleMissing, match="'open/inner' is closed"):
        await house.bob.projects.MergeProject(merged)
    await house.ada.projects.MergeProject(merged)
