"""A request that comes again under its request_id has one effect and one answer: every call that takes such an id."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google.protobuf.descriptor_pool import Default
from google.protobuf.field_mask_pb2 import FieldMask

from batuta_chassis.contract import contract
from batuta_proto.artifacts import v1 as artifacts
from batuta_proto.audit import v1 as audit
from batuta_proto.projects import v1 as projects
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_proto.users import v1 as users
from batuta_rpc.error_status import from_status
from batuta_rpc.errors import RequestIdReused

Make = Callable[[Any], Awaitable[Any]]


async def draft(by: Any) -> str:
    return str((await by.draft()).id)


async def ended(by: Any, state: Any = tasks.TASK_STATE_COMPLETED) -> str:
    task = await by.started()
    await by.tasks.FinishTask(tasks.FinishTaskRequest(task_id=task.id, attempt=1, state=state))
    return str(task.id)


async def project(by: Any, name: str = "p") -> projects.Project:
    made: projects.Project = (await by.projects.CreateProject(projects.CreateProjectRequest(display_name=name))).project
    return made


async def archived(by: Any) -> str:
    task_id = await draft(by)
    await by.tasks.ArchiveTask(tasks.ArchiveTaskRequest(task_id=task_id))
    return task_id


async def deleted(by: Any) -> str:
    task_id = await draft(by)
    await by.tasks.DeleteTask(tasks.DeleteTaskRequest(task_id=task_id))
    return task_id


async def queued(by: Any) -> str:
    return str((await by.queued())[0].id)


async def artifact(by: Any) -> str:
    return str((await by.upload(b"x", task_id=await draft(by))).id)


async def merging(by: Any) -> projects.MergeProjectRequest:
    one, two = await project(by, "one"), await project(by, "two")
    return projects.MergeProjectRequest(project_id=one.id, into_project_id=two.id)


async def renaming(by: Any) -> projects.UpdateProjectRequest:
    asked = projects.Project(id=(await project(by)).id, display_name="q")
    return projects.UpdateProjectRequest(project=asked, update_mask=FieldMask(paths=["display_name"]))


async def updating(by: Any) -> tasks.UpdateTaskRequest:
    asked = tasks.Task(id=await draft(by), display_name="renamed")
    return tasks.UpdateTaskRequest(task=asked, update_mask=FieldMask(paths=["display_name"]))


async def batch(by: Any) -> tasks.BatchChangeTasksRequest:
    tagged = tasks.TaskChange(tag=tasks.TagTaskRequest(task_id=await draft(by), add=["x"]))
    moved = tasks.TaskChange(move=tasks.MoveTaskRequest(task_id=await draft(by), project_name="elsewhere"))
    return tasks.BatchChangeTasksRequest(changes=[tagged, moved])


# By the call's name: what it is asked, once everything that it needs is there.
REQUESTS: dict[str, Make] = {
    "ArtifactService/DeleteArtifact": lambda by: _of(artifacts.DeleteArtifactRequest, "artifact_id", artifact(by)),
    "ProjectService/CreateProject": lambda by: _now(projects.CreateProjectRequest(display_name="p")),
    "ProjectService/DeleteProject": lambda by: _of(projects.DeleteProjectRequest, "project_id", _id(project(by))),
    "ProjectService/MergeProject": merging,
    "ProjectService/SetProjectAccess": lambda by: _of(
        projects.SetProjectAccessRequest, "project_id", _id(project(by)), closed=True
    ),
    "ProjectService/UpdateProject": renaming,
    "TaskService/ArchiveTask": lambda by: _of(tasks.ArchiveTaskRequest, "task_id", draft(by)),
    "TaskService/BatchChangeTasks": batch,
    "TaskService/CloneTask": lambda by: _of(tasks.CloneTaskRequest, "task_id", draft(by)),
    "TaskService/CreateTask": lambda by: _now(tasks.CreateTaskRequest(project_name="p", display_name="n")),
    "TaskService/DeleteTask": lambda by: _of(tasks.DeleteTaskRequest, "task_id", draft(by)),
    "TaskService/DequeueTask": lambda by: _of(tasks.DequeueTaskRequest, "task_id", queued(by)),
    "TaskService/EnqueueTask": lambda by: _of(tasks.EnqueueTaskRequest, "task_id", draft(by), queue_name="default"),
    "TaskService/MoveTask": lambda by: _of(tasks.MoveTaskRequest, "task_id", draft(by), project_name="elsewhere"),
    "TaskService/PublishTask": lambda by: _of(tasks.PublishTaskRequest, "task_id", ended(by)),
    "TaskService/ResetTask": lambda by: _of(tasks.ResetTaskRequest, "task_id", ended(by)),
    "TaskService/StartTask": lambda by: _of(tasks.StartTaskRequest, "task_id", draft(by)),
    "TaskService/TagTask": lambda by: _of(tasks.TagTaskRequest, "task_id", draft(by), add=["x"]),
    "TaskService/UnarchiveTask": lambda by: _of(tasks.UnarchiveTaskRequest, "task_id", archived(by)),
    "TaskService/UndeleteTask": lambda by: _of(tasks.UndeleteTaskRequest, "task_id", deleted(by)),
    "TaskService/UpdateTask": updating,
    "UserService/CreateUser": lambda by: _now(users.CreateUserRequest(user_name="eve", role=types.ROLE_MEMBER)),
}


async def _now(request: Any) -> Any:
    return request


async def _id(made: Awaitable[projects.Project]) -> str:
    return (await made).id


async def _of(kind: Any, field: str, made: Awaitable[str], **more: Any) -> Any:
    return kind(**{field: await made}, **more)


def test_every_call_with_a_request_id_is_repeated_here() -> None:
    with_id: set[str] = set()
    for rule in contract().rules:
        service, method = rule.name[1:].split("/")
        if service.startswith("batuta.queues."):  # tests/queue has them
            continue
        asked = Default().FindServiceByName(service).FindMethodByName(method).input_type
        if "request_id" in asked.fields_by_name:
            with_id.add(f"{service.rpartition('.')[2]}/{method}")
    assert with_id == REQUESTS.keys()


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_that_comes_again_has_one_effect_and_the_same_answer(api: Any, name: str) -> None:
    admin = api.stubs("admin", subject="ada")
    request = await REQUESTS[name](admin)
    request.request_id = str(uuid.uuid4())
    area = name.partition("Service")[0].lower() + "s"
    call = getattr(getattr(admin, area), name.partition("/")[2])
    before = await lines(admin)
    first = await call(request)
    effect = await lines(admin)
    assert effect > before
    assert (await call(request)).SerializeToString(deterministic=True) == first.SerializeToString(deterministic=True)
    assert await lines(admin) == effect
    other = type(request)()
    other.CopyFrom(request)
    _change(other)
    with pytest.raises(RequestIdReused):
        _raise_of_first(await call(other))
    assert await lines(admin) == effect


async def lines(admin: Any) -> int:
    """How many changes have had their effect."""
    return len((await admin.audit.ListChanges(audit.ListChangesRequest(page_size=500))).changes)


def _change(request: Any) -> None:
    """Make another request of it."""
    if isinstance(request, tasks.BatchChangeTasksRequest):
        for each in request.changes:
            getattr(each, each.WhichOneof("change")).etag = "999"
    elif isinstance(request, tasks.UpdateTaskRequest):
        request.task.display_name = "999"
    elif isinstance(request, projects.UpdateProjectRequest):
        request.project.display_name = "999"
    else:
        fields = request.DESCRIPTOR.fields_by_name
        others = ("etag", "description", "display_name", "artifact_id")
        setattr(request, next(name for name in others if name in fields), "999")


def _raise_of_first(answer: Any) -> None:
    """A batch tells of each of its parts."""
    raise from_status(answer.results[0].status)
