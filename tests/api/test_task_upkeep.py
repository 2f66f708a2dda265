"""What people do to tasks that do not run: seal, hide, delete, move, tag; one at a time and many at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.error_details_pb2 import ErrorInfo

from batuta_api.housekeeping import Housekeeping
from batuta_api.tasks.model import Definition
from batuta_api.tasks.testing import a_task
from batuta_api.work import Works
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_rpc.errors import (
    EtagMismatch,
    FieldViolation,
    IllegalTransition,
    RoleMissing,
    TaskNotFound,
    UpstreamUnavailable,
)
from batuta_rpc.testing import FakeClock, until

ID = "0e6c4d1a-0000-4000-8000-000000000001"


async def ids(member: Any, **wanted: Any) -> list[str]:
    """The tasks of a list, oldest first."""
    answer = await member.tasks.ListTasks(tasks.ListTasksRequest(filter=tasks.ListTasksRequest.Filter(**wanted)))
    return [task.id for task in answer.tasks][::-1]


async def ended(member: Any, state: Any = tasks.TASK_STATE_COMPLETED) -> tasks.Task:
    """A local run that has ended."""
    task = await member.started()
    request = tasks.FinishTaskRequest(task_id=task.id, attempt=1, state=state)
    return (await member.tasks.FinishTask(request)).task


async def test_a_queued_task_goes_back_to_a_draft_and_its_entry_out_of_the_queue(api: Any, member: Any) -> None:
    task, entry = await member.queued()
    draft = (await member.tasks.DequeueTask(tasks.DequeueTaskRequest(task_id=task.id))).task
    assert (draft.status.state, draft.status.queue_name) == (tasks.TASK_STATE_DRAFT, "")
    await api.eventually(lambda: api.queue.service.withdrawals == [entry])
    with pytest.raises(IllegalTransition) as caught:
        await member.tasks.DequeueTask(tasks.DequeueTaskRequest(task_id=task.id))
    assert (caught.value.metadata["state"], caught.value.metadata["wanted"]) == ("DRAFT", "DRAFT")
    request = tasks.EnqueueTaskRequest(task_id=task.id, queue_name="default")
    while True:  # once the queue service has heard of it, the task may be queued again
        try:
            again = await member.tasks.EnqueueTask(request)
            break
        except UpstreamUnavailable:
            continue
    assert again.entry_id != entry


async def test_a_task_that_was_dequeued_while_an_agent_took_it_stays_a_draft(api: Any, member: Any) -> None:
    task, entry = await member.queued()
    await api.eventually(lambda: entry in api.queue.service.entries)
    await member.tasks.DequeueTask(tasks.DequeueTaskRequest(task_id=task.id))
    api.queue.service.tell(entry, queues.ENTRY_STATE_RUNNING, types.ATTEMPT_PHASE_RUNNING, 1)
    api.queue.service.tell(entry, queues.ENTRY_STATE_DONE, types.ATTEMPT_PHASE_CANCELLED, 1)
    seen = await member.until(task.id, lambda seen: seen.status.attempt == 1)
    assert seen.status.state == tasks.TASK_STATE_DRAFT


async def test_a_published_task_is_sealed(member: Any) -> None:
    task = await ended(member)
    published = (await member.tasks.PublishTask(tasks.PublishTaskRequest(task_id=task.id))).task
    assert published.status.state == tasks.TASK_STATE_PUBLISHED
    assert (await member.tasks.PublishTask(tasks.PublishTaskRequest(task_id=task.id))).task == published
    for call, request in (
        (member.tasks.ResetTask, tasks.ResetTaskRequest(task_id=task.id)),
        (member.tasks.EnqueueTask, tasks.EnqueueTaskRequest(task_id=task.id, queue_name="default")),
        (member.tasks.DeleteTask, tasks.DeleteTaskRequest(task_id=task.id)),
    ):
        with pytest.raises(IllegalTransition) as caught:
            await call(request)
        assert caught.value.metadata["state"] == "PUBLISHED"
    assert (await member.tasks.DeleteTask(tasks.DeleteTaskRequest(task_id=task.id, force=True))).task.HasField(
        "delete_time"
    )
    failed = await ended(member, tasks.TASK_STATE_FAILED)
    with pytest.raises(IllegalTransition):
        await member.tasks.PublishTask(tasks.PublishTaskRequest(task_id=failed.id))


async def test_an_archived_task_is_hidden_and_must_be_shown_again_before_it_runs(member: Any) -> None:
    task, other = await member.draft(), await member.draft()
    archived = (await member.tasks.ArchiveTask(tasks.ArchiveTaskRequest(task_id=task.id))).task
    assert archived.HasField("archive_time")
    assert await ids(member) == [other.id]
    assert await ids(member, archived=tasks.ARCHIVED_FILTER_ONLY) == [task.id]
    assert await ids(member, archived=tasks.ARCHIVED_FILTER_INCLUDE) == [task.id, other.id]
    with pytest.raises(IllegalTransition, match="unarchive it first"):
        await member.tasks.StartTask(tasks.StartTaskRequest(task_id=task.id))
    await member.tasks.UnarchiveTask(tasks.UnarchiveTaskRequest(task_id=task.id))
    assert await ids(member) == [task.id, other.id]
    running = await member.started()
    with pytest.raises(IllegalTransition, match="abort it first"):
        await member.tasks.ArchiveTask(tasks.ArchiveTaskRequest(task_id=running.id))


async def test_a_deleted_task_can_be_read_and_undeleted_and_nothing_else(member: Any) -> None:
    task = await member.draft()
    deleted = (await member.tasks.DeleteTask(tasks.DeleteTaskRequest(task_id=task.id))).task
    assert deleted.purge_time.ToDatetime() - deleted.delete_time.ToDatetime() == timedelta(days=30)
    assert await ids(member) == []
    assert await ids(member, deleted=True) == [task.id]
    assert await member.get(task.id) == deleted
    for call, request in (
        (member.tasks.StartTask, tasks.StartTaskRequest(task_id=task.id)),
        (member.tasks.EnqueueTask, tasks.EnqueueTaskRequest(task_id=task.id, queue_name="default")),
        (member.tasks.TagTask, tasks.TagTaskRequest(task_id=task.id, add=["x"])),
        (
            member.tasks.UpdateTask,
            tasks.UpdateTaskRequest(
                task=tasks.Task(id=task.id, display_name="x"), update_mask=FieldMask(paths=["display_name"])
            ),
        ),
    ):
        with pytest.raises(IllegalTransition, match="undelete it first") as caught:
            await call(request)
        assert caught.value.metadata["state"] == "DELETED"
    back = (await member.tasks.UndeleteTask(tasks.UndeleteTaskRequest(task_id=task.id))).task
    assert not back.HasField("delete_time")
    assert not back.HasField("purge_time")
    assert await ids(member) == [task.id]


async def test_a_deleted_task_goes_for_good_with_all_it_had_when_its_time_is_over(works: Works) -> None:
    clock = FakeClock()
    deleted = a_task("t1", delete_time=clock.now(), purge_time=clock.now() + timedelta(days=1))

    def fill(work: Any) -> None:
        work.tasks.add(deleted, Definition())
        work.tasks.add(a_task("t2"), Definition())

    await works.write(fill)
    housekeeping = asyncio.create_task(Housekeeping(works, clock).run())

    async def ids() -> set[str]:
        return {task.id for task in await works.read(lambda work: work.tasks.many(["t1", "t2"]))}

    await until(lambda: clock.sleepers == 1)
    assert await ids() == {"t1", "t2"}
    clock.advance(timedelta(days=2).total_seconds())
    await until(lambda: clock.sleepers == 1)
    assert await ids() == {"t2"}
    housekeeping.cancel()


async def test_a_task_moves_to_another_project_which_is_made(member: Any) -> None:
    task = await ended(member)
    moved = (await member.tasks.MoveTask(tasks.MoveTaskRequest(task_id=task.id, project_name="new/place"))).task
    assert moved.spec.project_name == "new/place"
    assert moved.spec.project_id != task.spec.project_id
    assert await ids(member, project_name="new", include_subprojects=True) == [task.id]


async def test_tags_are_added_and_taken_away_in_any_state(member: Any) -> None:
    task = await ended(member)
    request = tasks.TagTaskRequest(task_id=task.id, add=["a", "b", "a"])
    assert (await member.tasks.TagTask(request)).task.tags == ["a", "b"]
    request = tasks.TagTaskRequest(task_id=task.id, add=["c"], remove=["a", "never there"])
    tagged = (await member.tasks.TagTask(request)).task
    assert tagged.tags == ["b", "c"]
    with pytest.raises(FieldViolation, match="'c' is to be added as well"):
        await member.tasks.TagTask(tasks.TagTaskRequest(task_id=task.id, add=["c"], remove=["c"]))
    many = [str(number) for number in range(199)]
    with pytest.raises(FieldViolation, match="200 is the most"):
        await member.tasks.TagTask(tasks.TagTaskRequest(task_id=task.id, add=many))
    with pytest.raises(EtagMismatch):
        await member.tasks.TagTask(tasks.TagTaskRequest(task_id=task.id, add=["d"], etag=task.etag))


async def test_many_are_changed_at_once_and_one_that_fails_stops_no_other(api: Any, member: Any) -> None:
    first, second, third = [await member.draft() for _ in range(3)]
    request = tasks.BatchChangeTasksRequest(
        request_id=ID,
        changes=[
            tasks.TaskChange(enqueue=tasks.EnqueueTaskRequest(task_id=first.id, queue_name="default")),
            tasks.TaskChange(abort=tasks.AbortTaskRequest(task_id=second.id)),
            tasks.TaskChange(tag=tasks.TagTaskRequest(task_id=third.id, add=["x"])),
            tasks.TaskChange(delete=tasks.DeleteTaskRequest(task_id="nobody")),
            tasks.TaskChange(archive=tasks.ArchiveTaskRequest(task_id=third.id)),
            tasks.TaskChange(dequeue=tasks.DequeueTaskRequest(task_id=first.id)),
        ],
    )
    answer = await member.tasks.BatchChangeTasks(request)
    reasons = []
    for each in answer.results:
        info = ErrorInfo()
        reasons.append(info.reason if not each.status.code else (each.status.details[0].Unpack(info) and info.reason))
    assert reasons == ["", "ILLEGAL_TRANSITION", "", "TASK_NOT_FOUND", "", ""]
    assert answer.results[5].task.status.state == tasks.TASK_STATE_DRAFT
    shown = await member.get(third.id)
    assert (list(shown.tags), shown.HasField("archive_time")) == (["x"], True)
    # The same again has no second effect: what was answered is answered again.
    await api.eventually(lambda: len(api.queue.service.withdrawals) == 1)
    again = await member.tasks.BatchChangeTasks(request)
    assert [each.task for each in again.results] == [each.task for each in answer.results]
    assert len(api.queue.service.entries) == 1


async def test_many_are_read_at_once_in_the_order_asked(member: Any) -> None:
    first, second = await member.draft(parameters=[types.Parameter(section="A", name="n", value="1")]), None
    second = await member.draft("other")
    answer = await member.tasks.BatchGetTasks(tasks.BatchGetTasksRequest(task_ids=[second.id, "nobody", first.id]))
    assert [each.task.id for each in answer.results] == [second.id, "", first.id]
    assert [bool(each.status.code) for each in answer.results] == [False, True, False]
    assert not answer.results[2].task.spec.parameters


async def test_viewers_change_nothing_and_a_missing_task_is_named(api: Any, member: Any) -> None:
    viewer = api.stubs("viewer", subject="eve")
    task = await member.draft()
    for name in ("Dequeue", "Publish", "Archive", "Unarchive", "Delete", "Undelete"):
        request = getattr(tasks, f"{name}TaskRequest")
        with pytest.raises(RoleMissing):
            await getattr(viewer.tasks, f"{name}Task")(request(task_id=task.id))
        with pytest.raises(TaskNotFound):
            await getattr(member.tasks, f"{name}Task")(request(task_id="nobody"))


@pytest.mark.parametrize(
    ("request_of", "field"),
    [
        (lambda: {"filter": {"name_regex": "("}}, "filter.name_regex"),
        (lambda: {"filter": {"name_regex": r"(a)\1"}}, "filter.name_regex"),
        (lambda: {"filter": {"include_subprojects": True}}, "filter.include_subprojects"),
        (lambda: {"order_by": {"field": tasks.TASK_ORDER_FIELD_METRIC}}, "order_by.group"),
        (lambda: {"order_by": {"field": tasks.TASK_ORDER_FIELD_OWNER, "group": "x"}}, "order_by.group"),
        (lambda: {"page_token": "bm9uc2Vuc2U"}, "page_token"),
    ],
)
async def test_a_list_that_cannot_be_names_the_field(member: Any, request_of: Any, field: str) -> None:
    with pytest.raises(FieldViolation) as caught:
        await member.tasks.ListTasks(tasks.ListTasksRequest(**request_of()))
    assert caught.value.field_violations[0][0] == field


async def test_a_token_of_another_order_is_refused(member: Any) -> None:
    for _ in range(3):
        await member.draft()
    by_name = tasks.TaskOrder(field=tasks.TASK_ORDER_FIELD_DISPLAY_NAME)
    first = await member.tasks.ListTasks(tasks.ListTasksRequest(page_size=2, order_by=by_name))
    more = tasks.ListTasksRequest(page_size=2, order_by=by_name, page_token=first.next_page_token)
    assert len((await member.tasks.ListTasks(more)).tasks) == 1
    more.order_by.ascending = True
    with pytest.raises(FieldViolation):
        await member.tasks.ListTasks(more)


async def test_a_container_is_kept_and_copied(member: Any) -> None:
    container = tasks.Container(image="img:1", arguments=["--ipc=host"], setup_script="apt update")
    task = await member.draft(environment=tasks.Environment(container=container))
    clone = (await member.tasks.CloneTask(tasks.CloneTaskRequest(task_id=task.id))).task
    assert clone.spec.environment.container == container
