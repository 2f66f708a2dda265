"""Finding out what an assignment asks for: from its payload, or from the API."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from batuta_agent.environment.failure import InfrastructureFailed, PreparationFailed
from batuta_proto.agents import v1 as agents
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.backoff import Backoff
from batuta_rpc.clock import Clock
from batuta_rpc.errors import RpcError, Unavailable
from batuta_rpc.ids import Ids

_PATIENCE = 600.0
"""Seconds for which an API that does not answer is asked again: an outage is no failure of the task."""
_TASK = "batuta.tasks.v1.Task"


class ApiTaskReader:
    """Reads tasks by `TaskService.GetTask`, unless the assignment brought its task along."""

    def __init__(self, stub: tasks.TaskServiceAsyncStub, clock: Clock, ids: Ids) -> None:
        """`stub` is of a channel that carries the agent's token."""
        self._stub = stub
        self._clock = clock
        self._ids = ids

    async def read(self, assignment: agents.Assignment) -> tasks.TaskSpec:
        """The task's spec. Raises `PreparationFailed`, or `InfrastructureFailed` when the API stays away."""
        if assignment.payload and assignment.payload_media_type.endswith(_TASK):
            try:
                return tasks.Task.FromString(assignment.payload).spec
            except DecodeError:
                pass
        return await self._fetch(assignment.ref.task_id)

    async def _fetch(self, task_id: str) -> tasks.TaskSpec:
        end = self._clock.monotonic() + _PATIENCE
        backoff = Backoff(self._ids)
        while True:
            found = await self._ask(task_id, last=self._clock.monotonic() >= end)
            if found is not None:
                return found
            await self._clock.sleep(backoff.next())

    async def _ask(self, task_id: str, *, last: bool) -> tasks.TaskSpec | None:
        try:
            return (await self._stub.GetTask(tasks.GetTaskRequest(task_id=task_id))).task.spec
        except Unavailable as error:
            if last:
                raise InfrastructureFailed(f"the API does not answer: {error}") from error
            return None
        except RpcError as error:
            raise PreparationFailed(f"the task cannot be read: {error}") from error
