"""`TaskService`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from google.protobuf.message import Message

from batuta_api.calls import Calls, Context
from batuta_api.closing import Closing
from batuta_api.limits import Places
from batuta_api.tasks import drafts, history, listing, queueing, runs, verbs, watching
from batuta_api.tasks.convert import edited, new_parts, render, tails
from batuta_api.tasks.lifecycle import End, Place
from batuta_api.tasks.model import Task, TaskState
from batuta_api.tasks.queue_names import QueueNames
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_chassis.hub import Hub
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids

SERVICE = "batuta.tasks.v1.TaskService"
M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Surroundings:
    """What the servicer works with."""

    calls: Calls
    names: QueueNames
    hub: Hub
    closing: Closing
    clock: Clock
    ids: Ids
    watchers: Places


class TaskServicer(tasks.TaskServiceServicer):
    """Tasks: parse, call, render."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._calls = around.calls
        self._watchers = around.watchers
        self._ids = around.ids

    def _now(self) -> datetime:
        return self._around.clock.now()

    async def CreateTask(self, request: tasks.CreateTaskRequest, context: Context) -> tasks.CreateTaskResponse:
        """Make a draft."""
        parts = new_parts(request)

        def create(work: Work, caller: Caller) -> tasks.CreateTaskResponse:
            made = drafts.create(work, caller, request.project_name, parts, self._now(), self._ids)
            return tasks.CreateTaskResponse(task=render(*made))

        return await self._calls.change("CreateTask", request, create)

    async def GetTask(self, request: tasks.GetTaskRequest, context: Context) -> tasks.GetTaskResponse:
        """One task, whole."""
        found = await self._calls.ask("GetTask", lambda work, caller: listing.whole(work, caller, request.task_id))
        return tasks.GetTaskResponse(task=render(*found))

    async def BatchGetTasks(self, request: tasks.BatchGetTasksRequest, context: Context) -> tasks.BatchGetTasksResponse:
        """Some tasks by their ids."""
        found = await self._calls.ask(
            "BatchGetTasks", lambda work, caller: listing.some(work, caller, request.task_ids)
        )
        return tasks.BatchGetTasksResponse(results=found)

    async def ListTasks(self, request: tasks.ListTasksRequest, context: Context) -> tasks.ListTasksResponse:
        """One page of tasks."""
        query = listing.query(request)
        return await self._calls.ask("ListTasks", lambda work, caller: listing.page(work, caller, query))

    async def UpdateTask(self, request: tasks.UpdateTaskRequest, context: Context) -> tasks.UpdateTaskResponse:
        """Change parts of a task."""
        parts, told = edited(request.task, request.update_mask.paths), request.task

        def update(work: Work, caller: Caller) -> tasks.UpdateTaskResponse:
            changed = drafts.update(work, caller, told.id, told.etag, request.attempt, parts, self._now())
            return tasks.UpdateTaskResponse(task=render(*changed))

        return await self._calls.change("UpdateTask", request, update)

    async def CloneTask(self, request: tasks.CloneTaskRequest, context: Context) -> tasks.CloneTaskResponse:
        """Copy a task."""
        copy = drafts.Copy(
            request.task_id, request.display_name, request.project_name, request.comment, request.parent_task_id
        )

        def clone(work: Work, caller: Caller) -> tasks.CloneTaskResponse:
            return tasks.CloneTaskResponse(task=render(*drafts.clone(work, caller, copy, self._now(), self._ids)))

        return await self._calls.change("CloneTask", request, clone)

    async def StartTask(self, request: tasks.StartTaskRequest, context: Context) -> tasks.StartTaskResponse:
        """Begin a local run."""

        def start(work: Work, caller: Caller) -> tasks.StartTaskResponse:
            started = runs.start(work, caller, request.task_id, request.etag, request.host, self._now())
            return tasks.StartTaskResponse(task=_whole(work, started))

        return await self._calls.change("StartTask", request, start)

    async def FinishTask(self, request: tasks.FinishTaskRequest, context: Context) -> tasks.FinishTaskResponse:
        """End a local run."""
        end, ends = _end(request), tails(request.tails)

        def finish(work: Work, caller: Caller) -> tasks.FinishTaskResponse:
            ended = runs.finish(work, caller, request.task_id, request.attempt, end, ends, self._now())
            return tasks.FinishTaskResponse(task=_whole(work, ended))

        return await self._calls.change("FinishTask", request, finish)

    async def EnqueueTask(self, request: tasks.EnqueueTaskRequest, context: Context) -> tasks.EnqueueTaskResponse:
        """Put a task into a queue."""
        queue = await self._around.names.find(request.queue_id, request.queue_name, request.create_queue)
        place, leaving = Place(self._ids.new_id(), queue.id, queue.name, request.priority), verbs.leaving(request)

        def enqueue(work: Work, caller: Caller) -> tasks.EnqueueTaskResponse:
            _, shown = queueing.enqueue(work, caller, leaving, place, self._now())
            return tasks.EnqueueTaskResponse(task=shown, entry_id=place.entry_id)

        return await self._calls.change("EnqueueTask", request, enqueue)

    async def DequeueTask(self, request: tasks.DequeueTaskRequest, context: Context) -> tasks.DequeueTaskResponse:
        """Take a task out of its queue."""
        return await self._do("DequeueTask", request, tasks.DequeueTaskResponse)

    async def ResetTask(self, request: tasks.ResetTaskRequest, context: Context) -> tasks.ResetTaskResponse:
        """Make a task a draft again."""
        return await self._do("ResetTask", request, tasks.ResetTaskResponse)

    async def AbortTask(self, request: tasks.AbortTaskRequest, context: Context) -> tasks.AbortTaskResponse:
        """Stop a task."""
        return await self._do("AbortTask", request, tasks.AbortTaskResponse)

    async def PublishTask(self, request: tasks.PublishTaskRequest, context: Context) -> tasks.PublishTaskResponse:
        """Seal a task."""
        return await self._do("PublishTask", request, tasks.PublishTaskResponse)

    async def ArchiveTask(self, request: tasks.ArchiveTaskRequest, context: Context) -> tasks.ArchiveTaskResponse:
        """Hide a task."""
        return await self._do("ArchiveTask", request, tasks.ArchiveTaskResponse)

    async def UnarchiveTask(self, request: tasks.UnarchiveTaskRequest, context: Context) -> tasks.UnarchiveTaskResponse:
        """Show a task again."""
        return await self._do("UnarchiveTask", request, tasks.UnarchiveTaskResponse)

    async def DeleteTask(self, request: tasks.DeleteTaskRequest, context: Context) -> tasks.DeleteTaskResponse:
        """Delete a task."""
        return await self._do("DeleteTask", request, tasks.DeleteTaskResponse)

    async def UndeleteTask(self, request: tasks.UndeleteTaskRequest, context: Context) -> tasks.UndeleteTaskResponse:
        """Take a deletion back."""
        return await self._do("UndeleteTask", request, tasks.UndeleteTaskResponse)

    async def MoveTask(self, request: tasks.MoveTaskRequest, context: Context) -> tasks.MoveTaskResponse:
        """Put a task into another project."""
        return await self._do("MoveTask", request, tasks.MoveTaskResponse)

    async def TagTask(self, request: tasks.TagTaskRequest, context: Context) -> tasks.TagTaskResponse:
        """Add tags and take tags away."""
        return await self._do("TagTask", request, tasks.TagTaskResponse)

    async def _do(self, method: str, request: Message, response: Callable[..., M]) -> M:
        """Run a verb that answers with the task."""
        use_case = verbs.use_case(request, self._around.clock, self._ids)
        return await self._calls.change(
            method, request, lambda work, caller: response(task=_whole(work, use_case(work, caller)))
        )

    async def BatchChangeTasks(
        self, request: tasks.BatchChangeTasksRequest, context: Context
    ) -> tasks.BatchChangeTasksResponse:
        """Change many tasks: each as the call of its name does."""
        results = await verbs.each(request, lambda method, asked: getattr(self, method)(asked, context))
        return tasks.BatchChangeTasksResponse(results=results)

    async def ListAttempts(self, request: tasks.ListAttemptsRequest, context: Context) -> tasks.ListAttemptsResponse:
        """One page of a task's attempts."""
        query = history.query(request)
        return await self._calls.ask("ListAttempts", lambda work, caller: history.page(work, caller, query))

    async def WatchTask(
        self, request: tasks.WatchTaskRequest, context: Context
    ) -> AsyncIterator[tasks.WatchTaskResponse]:
        """Follow a task."""
        around = self._around
        with self._watchers.one():
            async for task in watching.watch(self._calls, around.hub, around.closing, request.task_id):
                yield tasks.WatchTaskResponse(task=render(task))

    async def WatchTasks(
        self, request: tasks.WatchTasksRequest, context: Context
    ) -> AsyncIterator[tasks.WatchTasksResponse]:
        """Follow all tasks that fit a filter."""
        around = self._around
        watching_all = watching.Watching.of(request, self._calls, around.hub, around.closing, around.clock)
        with self._watchers.one():
            async for step in watching_all.steps(request.resume_token):
                yield step


def _whole(work: Work, task: Task) -> tasks.Task:
    return render(task, work.tasks.definition(task.id))


def _end(request: tasks.FinishTaskRequest) -> End:
    return End(
        TaskState(request.state),
        request.reason,
        request.message,
        request.exit_code if request.HasField("exit_code") else None,
        request.signal if request.HasField("signal") else None,
    )
