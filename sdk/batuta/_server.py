"""The control calls of the SDK: plain gRPC, on a channel that is opened when needed and never crosses a fork."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from batuta._parameters import Key
from batuta._values import Parameter

if TYPE_CHECKING:
    import grpc

    from batuta._capture.script import Code
    from batuta_courier.tails import Tail
    from batuta_proto.metrics import v1 as metrics
    from batuta_proto.tasks import v1 as tasks
    from batuta_rpc.auth import TokenSource
    from batuta_rpc.ids import Ids
    from batuta_rpc.trust import Trust

NAME = "sdk-python"
_FORKS = 5
_open: weakref.WeakSet[Server] = weakref.WeakSet()


class Server:
    """A Batuta server. Errors are those of `batuta_rpc.errors`; everything that acts twice carries a request id."""

    def __init__(self, api: str, tokens: TokenSource, ids: Ids, trust: Trust) -> None:
        """`trust` is for an `api` of https."""
        self.api = api
        self._trust = trust
        self._tokens = tokens
        self._ids = ids
        self._channel: grpc.Channel | None = None
        self._calls = 0
        self._closed = 0

    def close(self) -> None:
        """Close the channel; the next call opens another."""
        channel, self._channel = self._channel, None
        if channel is not None:
            self._closed += 1
            channel.close()

    def rest(self) -> None:
        """Close the channel unless another thread has a call under way: none is kept open while a script works."""
        if self._calls == 0:
            self.close()

    def prepare(self) -> None:
        """Import what calls need, and log in. Raises what the server answers."""
        from batuta_proto.tasks import v1 as tasks

        tasks.TaskServiceStub(self._connect())
        self._tokens.token()

    def create(
        self, project: str, name: str, task_type: str, tags: Iterable[str], code: Code, python: str
    ) -> tasks.Task:
        """A new draft."""
        from batuta_proto.tasks import v1 as tasks

        spec = tasks.TaskSpec(
            type=f"TASK_TYPE_{task_type.upper()}",
            source=tasks.Source(
                repository_url=code.repository_url,
                branch=code.branch,
                commit=code.commit,
                diff=code.diff,
                entry_point=code.entry_point,
                working_directory=code.working_directory,
                script=code.script,
            ),
            environment=tasks.Environment(python_version=python, requirements=code.requirements),
        )
        request = tasks.CreateTaskRequest(
            project_name=project, display_name=name, tags=tags, spec=spec, request_id=self._ids.request_id()
        )
        return self._task("CreateTask", request)

    def start(self, task_id: str, host: str) -> tasks.Task:
        """Begin a local run of a draft."""
        from batuta_proto.tasks import v1 as tasks

        request = tasks.StartTaskRequest(task_id=task_id, host=host, request_id=self._ids.request_id())
        return self._task("StartTask", request)

    def fail(self, task_id: str, attempt: int, message: str) -> None:
        """End a local run that could not begin."""
        from batuta_proto.tasks import v1 as tasks

        request = tasks.FinishTaskRequest(task_id=task_id, attempt=attempt, reason="NO_SPOOL", message=message)
        request.state = tasks.TASK_STATE_FAILED
        self._call("FinishTask", request)

    def get(self, task_id: str) -> tasks.Task:
        """A task, whole."""
        from batuta_proto.tasks import v1 as tasks

        return self._task("GetTask", tasks.GetTaskRequest(task_id=task_id))

    def newest(self, project: str | None, name: str | None, tags: Iterable[str]) -> tasks.Task | None:
        """The newest task that matches, without source and parameters."""
        from batuta_proto.tasks import v1 as tasks

        wanted = tasks.ListTasksRequest.Filter(project_name=project or "", display_name=name or "", tags=tags)
        found: Sequence[tasks.Task] = self._call("ListTasks", tasks.ListTasksRequest(filter=wanted, page_size=1)).tasks
        return found[0] if found else None

    def clone(self, task_id: str, name: str, comment: str, parent: str, project: str) -> tasks.Task:
        """A draft with the same spec."""
        from batuta_proto.tasks import v1 as tasks

        request = tasks.CloneTaskRequest(
            task_id=task_id,
            display_name=name,
            comment=comment,
            parent_task_id=parent,
            project_name=project,
            request_id=self._ids.request_id(),
        )
        return self._task("CloneTask", request)

    def set_parameters(
        self, task_id: str, attempt: int, values: Mapping[Key, Parameter], timeout: float | None = None
    ) -> tasks.Task:
        """Replace all parameters: of a draft (`attempt` 0), or of the caller's own run. `timeout` in seconds."""
        from google.protobuf.field_mask_pb2 import FieldMask

        from batuta_proto.tasks import v1 as tasks
        from batuta_proto.types import v1 as types

        parameters = [
            types.Parameter(
                section=section,
                name=name,
                value=each.text,
                type=types.ParameterType.Name(cast("types.ParameterType", each.type)),
                description=each.description[:4096],
            )
            for (section, name), each in values.items()
        ]
        request = tasks.UpdateTaskRequest(
            task=tasks.Task(id=task_id, spec=tasks.TaskSpec(parameters=parameters)),
            update_mask=FieldMask(paths=["spec.parameters"]),
            attempt=attempt,
            request_id=self._ids.request_id(),
        )
        return self._task("UpdateTask", request, timeout)

    def enqueue(
        self, task_id: str, queue_name: str, queue_id: str = "", attempt: int = 0, tails: Iterable[Tail] = ()
    ) -> tasks.Task:
        """Put a task into a queue; `attempt` is the caller's own local run, which ends with it."""
        from batuta_courier.finish import proto_tails
        from batuta_proto.tasks import v1 as tasks

        request = tasks.EnqueueTaskRequest(
            task_id=task_id, local_attempt=attempt, tails=proto_tails(list(tails)), request_id=self._ids.request_id()
        )
        if queue_id:
            request.queue_id = queue_id
        else:
            request.queue_name = queue_name
        return self._task("EnqueueTask", request)

    def make_draft(self, task_id: str, attempt: int, tails: Iterable[Tail]) -> tasks.Task:
        """End the caller's own local run by making its task a draft again; results stay."""
        from batuta_courier.finish import proto_tails
        from batuta_proto.tasks import v1 as tasks

        request = tasks.ResetTaskRequest(
            task_id=task_id,
            keep_results=True,
            local_attempt=attempt,
            tails=proto_tails(list(tails)),
            request_id=self._ids.request_id(),
        )
        return self._task("ResetTask", request)

    def watch(self, task_id: str) -> Any:
        """The stream of a task's states; `cancel` ends it."""
        from batuta_proto.tasks import v1 as tasks

        return self._tasks().WatchTask(tasks.WatchTaskRequest(task_id=task_id))

    def scalars(self, task_id: str) -> Iterable[metrics.ScalarColumn]:
        """All points stored of a task."""
        from batuta_proto.metrics import v1 as metrics

        stub = metrics.MetricServiceStub(self._connect())
        for answer in stub.ReadScalars(metrics.ReadScalarsRequest(task_id=task_id)):
            yield from answer.columns

    def _task(self, method: str, request: Any, timeout: float | None = None) -> tasks.Task:
        """Make a unary call that answers with a task."""
        found: tasks.Task = self._call(method, request, timeout).task
        return found

    def _tasks(self) -> tasks.TaskServiceStub:
        from batuta_proto.tasks import v1 as tasks

        return tasks.TaskServiceStub(self._connect())

    def _call(self, method: str, request: Any, timeout: float | None = None) -> Any:
        """Make a unary call. Its error is raised bare: what gRPC says around it helps nobody.

        A channel that a fork in another thread has closed meanwhile is opened again; every request may be repeated.
        """
        from batuta_rpc.errors import RpcError

        for _ in range(_FORKS):
            closed = self._closed
            self._calls += 1
            try:
                return getattr(self._tasks(), method)(request, timeout=timeout)
            except (RpcError, ValueError) as error:  # ValueError: gRPC's word for a closed channel
                if self._closed == closed:
                    raise error.with_traceback(None) from None
            finally:
                self._calls -= 1
        raise RuntimeError(f"{method}: this process forks without end; the channel never lives long enough for a call")

    def channel(self) -> grpc.Channel:
        """The channel for streams of other areas; opened again when a fork has closed it."""
        return self._connect()

    def _connect(self) -> grpc.Channel:
        if self._channel is None:
            from batuta_rpc.channel import open_sync

            self._channel = open_sync(self.api, self._tokens, NAME, trust=self._trust)
            _open.add(self)
        return self._channel


def _close_all() -> None:
    for server in list(_open):
        server.close()


# grpc and fork() do not mix: a child that inherits a channel hangs or fails. So nobody inherits one.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_close_all)
