"""Tasks over the wire: drafts, edits, copies, lists, local runs."""

from __future__ import annotations

from typing import Any

import grpc.aio
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from batuta_proto.projects import v1 as projects
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_rpc.errors import (
    DeadlineMissing,
    EtagMismatch,
    FieldViolation,
    IllegalTransition,
    OtherTask,
    ProjectNameTaken,
    ProjectNotFound,
    RequestIdReused,
    RoleMissing,
    StaleAttempt,
    TaskNotDraft,
    TaskNotFound,
    TokenMissing,
    from_grpc,
)

ID = "0e6c4d1a-0000-4000-8000-000000000001"


def parameter(name: str, value: str = "1") -> types.Parameter:
    return types.Parameter(section="Args", name=name, value=value, type=types.PARAMETER_TYPE_INT)


async def update(who: Any, task_id: str, paths: list[str], attempt: int = 0, etag: str = "", **fields: Any) -> Any:
    request = tasks.UpdateTaskRequest(
        task=tasks.Task(id=task_id, etag=etag, **fields), update_mask=FieldMask(paths=paths), attempt=attempt
    )
    return (await who.tasks.UpdateTask(request)).task


async def test_a_draft_keeps_all_that_was_asked_and_makes_its_project_with_parents(member: Any) -> None:
    spec = tasks.TaskSpec(
        comment="first",
        source=tasks.Source(repository_url="https://h/r", commit="ab", diff="d", entry_point="a.py"),
        environment=tasks.Environment(python_version="3.11", requirements=["numpy==2.0"]),
        parameters=[parameter("lr"), parameter("epochs")],
        resources=types.Resources(gpus=2),
    )
    request = tasks.CreateTaskRequest(project_name="vision/digits", display_name="run", tags=["a", "a"], spec=spec)
    made = (await member.tasks.CreateTask(request)).task
    shown = await member.get(made.id)
    assert shown == made
    assert shown.spec.type == tasks.TASK_TYPE_TRAINING
    assert (shown.owner, shown.status.state, list(shown.tags)) == ("ada", tasks.TASK_STATE_DRAFT, ["a"])
    kind = tasks.TASK_TYPE_TRAINING
    expected = tasks.TaskSpec(project_id=shown.spec.project_id, project_name="vision/digits", type=kind)
    expected.MergeFrom(spec)
    assert shown.spec == expected
    listed = await member.projects.ListProjects(projects.ListProjectsRequest())
    assert [project.display_name for project in listed.projects] == ["vision", "vision/digits"]


async def test_the_same_request_id_makes_one_task_and_refuses_another_request(member: Any) -> None:
    request = tasks.CreateTaskRequest(project_name="p", display_name="run", request_id=ID)
    first, again = [await member.tasks.CreateTask(request) for _ in range(2)]
    assert first == again
    with pytest.raises(RequestIdReused):
        await member.tasks.CreateTask(tasks.CreateTaskRequest(project_name="p", display_name="x", request_id=ID))
    assert len((await member.tasks.ListTasks(tasks.ListTasksRequest())).tasks) == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"project_name": "a//b"}, "project_name"),
        ({"project_name": "a/ /b"}, "project_name"),
        ({"display_name": ""}, "display_name"),
        ({"spec": tasks.TaskSpec(project_name="x")}, "spec.project_id"),
        ({"spec": tasks.TaskSpec(parameters=[parameter("lr"), parameter("lr")])}, "spec.parameters"),
        ({"request_id": "no uuid"}, "request_id"),
    ],
)
async def test_a_bad_field_is_named(member: Any, fields: dict[str, Any], field: str) -> None:
    whole: dict[str, Any] = {"project_name": "p", "display_name": "n"}
    with pytest.raises(FieldViolation) as refused:
        await member.tasks.CreateTask(tasks.CreateTaskRequest(**whole | fields))
    assert field in [name for name, _ in refused.value.field_violations]


async def test_a_mask_says_what_changes_and_the_rest_stays(member: Any) -> None:
    made = await member.draft(comment="keep", source=tasks.Source(script="print(1)"))
    changed = await update(
        member, made.id, ["display_name", "spec.parameters"], display_name="new", spec={"parameters": [parameter("a")]}
    )
    assert (changed.display_name, changed.spec.comment) == ("new", "keep")
    assert changed.spec.source.script == "print(1)"
    assert [each.name for each in changed.spec.parameters] == ["a"]
    assert changed.etag != made.etag
    replaced = await update(member, made.id, ["*"], display_name="all", spec={"comment": "c"})
    assert (replaced.spec.comment, replaced.spec.source.script, len(replaced.spec.parameters)) == ("c", "", 0)


@pytest.mark.parametrize("path", ["status.state", "id", "spec", "spec.project_name", "nonsense", "spec.source.diff"])
async def test_paths_that_are_not_the_users_are_refused(member: Any, path: str) -> None:
    made = await member.draft()
    with pytest.raises(FieldViolation, match="cannot be set"):
        await update(member, made.id, [path], display_name="n")


async def test_only_a_draft_is_edited_or_a_run_by_itself(api: Any, member: Any) -> None:
    started = await member.started()
    with pytest.raises(TaskNotDraft):
        await update(member, started.id, ["spec.comment", "spec.environment"])
    assert (await update(member, started.id, ["spec.comment"], spec={"comment": "y"})).spec.comment == "y"
    assert (await update(member, started.id, ["spec.comment"], 1, spec={"comment": "x"})).spec.comment == "x"
    with pytest.raises(StaleAttempt):
        await update(member, started.id, ["spec.comment"], 2)
    own = api.run_of(started.id, 1)
    assert (await update(own, started.id, ["tags"], tags=["from the run"])).tags == ["from the run"]


async def test_a_guard_that_is_out_of_date_stops_a_change(member: Any) -> None:
    made = await member.draft()
    changed = await update(member, made.id, ["spec.comment"], etag=made.etag, spec={"comment": "x"})
    with pytest.raises(EtagMismatch):
        await update(member, made.id, ["spec.comment"], etag=made.etag)
    with pytest.raises(EtagMismatch):
        await member.tasks.StartTask(tasks.StartTaskRequest(task_id=made.id, etag=made.etag))
    await member.tasks.StartTask(tasks.StartTaskRequest(task_id=made.id, etag=changed.etag))


async def test_a_copy_has_the_spec_and_none_of_the_results(member: Any) -> None:
    started = await member.started(source=tasks.Source(script="print(1)"), comment="c")
    copy = (await member.tasks.CloneTask(tasks.CloneTaskRequest(task_id=started.id, project_name="new/home"))).task
    assert copy.spec.source.script == "print(1)"
    assert (copy.spec.parent_task_id, copy.spec.project_name) == (started.id, "new/home")
    assert (copy.display_name, copy.spec.comment) == (started.display_name, "c")
    assert (copy.status.state, copy.status.attempt) == (tasks.TASK_STATE_DRAFT, 0)


async def test_pages_go_through_all_tasks_and_a_token_fits_its_filter_only(member: Any) -> None:
    made = [(await member.draft(name=f"run {n}", project="a" if n % 2 else "b")).id for n in range(7)]
    seen: list[str] = []
    request = tasks.ListTasksRequest(page_size=3)
    while True:
        page = await member.tasks.ListTasks(request)
        seen += [task.id for task in page.tasks]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert seen == made[::-1]
    assert not page.tasks[0].spec.HasField("source")
    only = tasks.ListTasksRequest.Filter(project_name="a")
    assert len((await member.tasks.ListTasks(tasks.ListTasksRequest(filter=only))).tasks) == 3
    for token in (request.page_token, "rubbish", "W10"):
        with pytest.raises(FieldViolation, match="page_token"):
            await member.tasks.ListTasks(tasks.ListTasksRequest(filter=only, page_token=token))


async def test_a_local_run_begins_once_and_ends_once(member: Any) -> None:
    started = await member.started()
    assert (started.status.attempt, started.status.local, started.status.host) == (1, True, "laptop")
    with pytest.raises(IllegalTransition, match="RUNNING"):
        await member.tasks.StartTask(tasks.StartTaskRequest(task_id=started.id))
    finish = tasks.FinishTaskRequest(
        task_id=started.id, attempt=1, state=tasks.TASK_STATE_FAILED, reason="EXIT_CODE", message="3", exit_code=3
    )
    ended = (await member.tasks.FinishTask(finish)).task
    assert (ended.status.state, ended.status.exit_code, ended.status.reason) == (
        tasks.TASK_STATE_FAILED,
        3,
        "EXIT_CODE",
    )
    assert (await member.tasks.FinishTask(finish)).task == ended
    finish.state = tasks.TASK_STATE_COMPLETED
    with pytest.raises(StaleAttempt):
        await member.tasks.FinishTask(finish)


async def test_a_draft_cannot_be_aborted_and_a_missing_task_is_named(member: Any) -> None:
    made = await member.draft()
    with pytest.raises(IllegalTransition, match="DRAFT"):
        await member.tasks.AbortTask(tasks.AbortTaskRequest(task_id=made.id))
    with pytest.raises(TaskNotFound, match="no task t9") as missing:
        await member.get("t9")
    assert missing.value.resource == ("task", "t9")


async def test_projects_are_made_found_and_taken_once(member: Any) -> None:
    made = (await member.projects.CreateProject(projects.CreateProjectRequest(display_name="a/b"))).project
    assert (await member.projects.GetProject(projects.GetProjectRequest(project_id=made.id))).project == made
    with pytest.raises(ProjectNameTaken) as taken:
        await member.projects.CreateProject(projects.CreateProjectRequest(display_name="a/b"))
    assert taken.value.resource == ("project", made.id)
    with pytest.raises(ProjectNotFound):
        await member.projects.GetProject(projects.GetProjectRequest(project_id="p9"))
    page = await member.projects.ListProjects(projects.ListProjectsRequest(page_size=1))
    assert [project.display_name for project in page.projects] == ["a"]
    rest = await member.projects.ListProjects(projects.ListProjectsRequest(page_token=page.next_page_token))
    assert [project.display_name for project in rest.projects] == ["a/b"]


async def test_roles_tokens_and_deadlines_are_asked_for(api: Any) -> None:
    create = tasks.CreateTaskRequest(project_name="p", display_name="n")
    with pytest.raises(RoleMissing):
        await api.stubs("viewer").tasks.CreateTask(create)
    with pytest.raises(TokenMissing):
        await api.stubs().tasks.CreateTask(create)
    with pytest.raises(DeadlineMissing):
        await _without_deadline(api, create)


async def _without_deadline(api: Any, request: Any) -> None:
    """A call on a bare channel, as a careless client makes it."""
    token = api.running.tokens.of("member")
    async with grpc.aio.insecure_channel(api.running.address) as channel:
        try:
            await tasks.TaskServiceStub(channel).CreateTask(request, metadata=(("authorization", f"Bearer {token}"),))
        except grpc.RpcError as error:
            raise from_grpc(error) from error


async def test_an_attempt_reaches_its_own_task_only_and_the_refusal_is_written_down(api: Any, member: Any) -> None:
    mine, other = await member.started(), await member.started()
    own = api.run_of(mine.id, 1)
    assert (await own.get(mine.id)).id == mine.id
    with pytest.raises(OtherTask):
        await own.get(other.id)
    with pytest.raises(RoleMissing):
        await own.tasks.AbortTask(tasks.AbortTaskRequest(task_id=mine.id))
    refused = await api.audit(other.id)
    assert [(row.reason, row.subject) for row in refused] == [("OTHER_TASK", f"attempt:{mine.id}/1")]


async def test_a_reset_run_is_a_draft_with_its_results_or_without(member: Any) -> None:
    started = await member.started()
    request = tasks.ResetTaskRequest(task_id=started.id, local_attempt=1, keep_results=True, request_id=ID)
    draft = (await member.tasks.ResetTask(request)).task
    assert (draft.status.state, draft.status.attempt, draft.status.attempt_open) == (tasks.TASK_STATE_DRAFT, 1, False)
    assert (await member.tasks.ResetTask(request)).task == draft
    with pytest.raises(IllegalTransition):
        await member.tasks.ResetTask(tasks.ResetTaskRequest(task_id=started.id))
    again = (await member.tasks.StartTask(tasks.StartTaskRequest(task_id=started.id))).task
    assert again.status.attempt == 2
    with pytest.raises(IllegalTransition, match="runs on"):
        await member.tasks.ResetTask(tasks.ResetTaskRequest(task_id=started.id))


async def test_watching_shows_a_task_at_once_and_at_each_change(member: Any) -> None:
    made = await member.draft()
    assert (await member.until(made.id, lambda task: True)).status.state == tasks.TASK_STATE_DRAFT
    stream = member.tasks.WatchTask(tasks.WatchTaskRequest(task_id=made.id))
    assert (await stream.read()).task.status.state == tasks.TASK_STATE_DRAFT
    await member.tasks.StartTask(tasks.StartTaskRequest(task_id=made.id))
    assert (await stream.read()).task.status.state == tasks.TASK_STATE_RUNNING
    stream.cancel()
    with pytest.raises(TaskNotFound):
        await member.until("t9", lambda task: True)
