"""The tasks of `testing.FakeApi`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import grpc

from batuta_proto.tasks import v1 as tasks
from batuta_rpc.errors import IllegalTransition, QueueNotFound, RpcError, StaleAttempt, TaskNotDraft
from batuta_rpc.ids import SystemIds

if TYPE_CHECKING:
    from batuta_courier.testing import FakeState


T = TypeVar("T")


class FakeTasks(tasks.TaskServiceServicer):
    """Tasks in a dictionary. One change at a time, errors as statuses."""

    def __init__(self, state: FakeState) -> None:
        self.state = state
        self._ids = SystemIds()

    def _do(self, name: str, context: grpc.ServicerContext, change: Callable[[], T]) -> T:
        from batuta_courier.testing import ASKED, STORED, refuse

        try:
            with self.state.changed:
                self.state.calls.append(name)
                self.state.on_step(name, ASKED, "")
                answer = change()
                self.state.on_step(name, STORED, "")
                self.state.changed.notify_all()
                return answer
        except RpcError as error:
            refuse(context, error)

    def CreateTask(self, request: tasks.CreateTaskRequest, context: grpc.ServicerContext) -> tasks.CreateTaskResponse:
        """A draft."""

        def create() -> tasks.CreateTaskResponse:
            task = tasks.Task(id=self._ids.new_id(), display_name=request.display_name, tags=request.tags)
            task.spec.CopyFrom(request.spec)
            task.spec.project_name = request.project_name
            task.spec.type = task.spec.type or tasks.TASK_TYPE_TRAINING
            task.status.state = tasks.TASK_STATE_DRAFT
            task.create_time.GetCurrentTime()
            self.state.tasks[task.id] = task
            return tasks.CreateTaskResponse(task=task)

        return self._do("CreateTask", context, create)

    def GetTask(self, request: tasks.GetTaskRequest, context: grpc.ServicerContext) -> tasks.GetTaskResponse:
        """One task."""

        def get() -> tasks.GetTaskResponse:
            self.state.caller(context, request.task_id)
            return tasks.GetTaskResponse(task=self.state.task(request.task_id))

        return self._do("GetTask", context, get)

    def ListTasks(self, request: tasks.ListTasksRequest, context: grpc.ServicerContext) -> tasks.ListTasksResponse:
        """All that match, newest first."""

        def matches(task: tasks.Task) -> bool:
            wanted = request.filter
            return (
                wanted.project_name in ("", task.spec.project_name)
                and wanted.display_name in ("", task.display_name)
                and set(wanted.tags) <= set(task.tags)
            )

        def find() -> tasks.ListTasksResponse:
            found = [task for task in self.state.tasks.values() if matches(task)]
            return tasks.ListTasksResponse(tasks=found[::-1])

        return self._do("ListTasks", context, find)

    def UpdateTask(self, request: tasks.UpdateTaskRequest, context: grpc.ServicerContext) -> tasks.UpdateTaskResponse:
        """The fields of the mask."""

        def update() -> tasks.UpdateTaskResponse:
            task = self.state.task(request.task.id)
            if request.attempt and (request.attempt != task.status.attempt or not task.status.attempt_open):
                raise StaleAttempt("not the open attempt")
            if not request.attempt and task.status.state != tasks.TASK_STATE_DRAFT:
                raise TaskNotDraft(f"task {task.id} is no draft")
            kept = tasks.Task()
            kept.CopyFrom(task)
            for path in request.update_mask.paths:
                if path == "tags":
                    kept.ClearField("tags")
                if path.startswith("spec."):
                    kept.spec.ClearField(path[5:])
            request.update_mask.MergeMessage(request.task, kept)
            task.CopyFrom(kept)
            return tasks.UpdateTaskResponse(task=task)

        return self._do("UpdateTask", context, update)

    def CloneTask(self, request: tasks.CloneTaskRequest, context: grpc.ServicerContext) -> tasks.CloneTaskResponse:
        """A draft with the same spec."""

        def clone() -> tasks.CloneTaskResponse:
            source = self.state.task(request.task_id)
            task = tasks.Task(id=self._ids.new_id(), display_name=request.display_name or source.display_name)
            task.spec.CopyFrom(source.spec)
            task.spec.project_name = request.project_name or source.spec.project_name
            task.spec.comment = request.comment or source.spec.comment
            task.spec.parent_task_id = request.parent_task_id or source.id
            task.status.state = tasks.TASK_STATE_DRAFT
            self.state.tasks[task.id] = task
            return tasks.CloneTaskResponse(task=task)

        return self._do("CloneTask", context, clone)

    def StartTask(self, request: tasks.StartTaskRequest, context: grpc.ServicerContext) -> tasks.StartTaskResponse:
        """A local attempt."""

        def start() -> tasks.StartTaskResponse:
            task = self.state.task(request.task_id)
            if task.status.state != tasks.TASK_STATE_DRAFT:
                raise IllegalTransition(f"task {task.id} is no draft")
            task.status.state = tasks.TASK_STATE_RUNNING
            task.status.attempt += 1
            task.status.attempt_open = task.status.local = True
            task.status.host = request.host
            return tasks.StartTaskResponse(task=task)

        return self._do("StartTask", context, start)

    def FinishTask(self, request: tasks.FinishTaskRequest, context: grpc.ServicerContext) -> tasks.FinishTaskResponse:
        """The end of a local attempt."""

        def finish() -> tasks.FinishTaskResponse:
            task = self.state.task(request.task_id)
            if request.attempt != task.status.attempt:
                raise StaleAttempt("not the current attempt")
            if not task.status.attempt_open:
                if task.status.state != request.state:
                    raise StaleAttempt("the attempt has ended otherwise")
                return tasks.FinishTaskResponse(task=task)
            self.state.close_attempt(task, request.tails)
            task.status.state = request.state
            task.status.reason, task.status.message = request.reason, request.message
            if request.HasField("exit_code"):
                task.status.exit_code = request.exit_code
            return tasks.FinishTaskResponse(task=task)

        return self._do("FinishTask", context, finish)

    def EnqueueTask(
        self, request: tasks.EnqueueTaskRequest, context: grpc.ServicerContext
    ) -> tasks.EnqueueTaskResponse:
        """Into a queue; a local attempt that asks itself ends."""

        def enqueue() -> tasks.EnqueueTaskResponse:
            task = self.state.task(request.task_id)
            names = self.state.queues
            name = request.queue_name or next((k for k, v in names.items() if v == request.queue_id), "")
            if name not in names and not request.create_queue:
                raise QueueNotFound(f"there is no queue {name!r}; there are: {', '.join(sorted(names))}")
            if request.local_attempt:
                if request.local_attempt != task.status.attempt or not task.status.attempt_open:
                    raise StaleAttempt("not the open attempt")
                self.state.close_attempt(task, request.tails)
            elif task.status.state in (tasks.TASK_STATE_QUEUED, tasks.TASK_STATE_RUNNING):
                raise IllegalTransition(f"task {task.id} is already queued or runs")
            task.status.state = tasks.TASK_STATE_QUEUED
            task.status.local = False
            task.status.queue_name = name
            return tasks.EnqueueTaskResponse(task=task, entry_id=self._ids.new_id())

        return self._do("EnqueueTask", context, enqueue)

    def ResetTask(self, request: tasks.ResetTaskRequest, context: grpc.ServicerContext) -> tasks.ResetTaskResponse:
        """A draft again."""

        def reset() -> tasks.ResetTaskResponse:
            task = self.state.task(request.task_id)
            if request.local_attempt:
                self.state.close_attempt(task, request.tails)
            task.status.state = tasks.TASK_STATE_DRAFT
            task.status.local = False
            return tasks.ResetTaskResponse(task=task)

        return self._do("ResetTask", context, reset)

    def AbortTask(self, request: tasks.AbortTaskRequest, context: grpc.ServicerContext) -> tasks.AbortTaskResponse:
        """STOPPING."""

        def abort() -> tasks.AbortTaskResponse:
            task = self.state.task(request.task_id)
            task.status.state = tasks.TASK_STATE_STOPPING
            return tasks.AbortTaskResponse(task=task)

        return self._do("AbortTask", context, abort)

    def ListAttempts(
        self, request: tasks.ListAttemptsRequest, context: grpc.ServicerContext
    ) -> tasks.ListAttemptsResponse:
        """The newest attempt only: this fake keeps no history."""

        def listed() -> tasks.ListAttemptsResponse:
            status = self.state.task(request.task_id).status
            if not status.attempt:
                return tasks.ListAttemptsResponse()
            return tasks.ListAttemptsResponse(
                attempts=[
                    tasks.Attempt(attempt=status.attempt, phase=status.phase, local=status.local, host=status.host)
                ]
            )

        return self._do("ListAttempts", context, listed)

    def WatchTask(
        self, request: tasks.WatchTaskRequest, context: grpc.ServicerContext
    ) -> Iterator[tasks.WatchTaskResponse]:
        """The task, and again at every change of its status."""
        last = b""
        while context.is_active():
            with self.state.changed:
                task = self.state.tasks.get(request.task_id)
                now = b"" if task is None else task.status.SerializeToString(deterministic=True)
                if now == last or task is None:
                    self.state.changed.wait(0.2)
                    continue
                answer = tasks.WatchTaskResponse(task=tasks.Task(id=task.id))
                answer.task.status.CopyFrom(task.status)
            last = now
            yield answer
