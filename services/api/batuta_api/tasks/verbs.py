"""The verbs that change one task and answer with it, by the name of their call; and many of them at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

from google.protobuf.message import Message
from google.rpc.code_pb2 import OK

from batuta_api.tasks import lifecycle, queueing, upkeep
from batuta_api.tasks.convert import tails
from batuta_api.tasks.model import Task
from batuta_api.tasks.upkeep import Which
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.clock import Clock
from batuta_rpc.errors import RpcError, to_status
from batuta_rpc.ids import Ids, request_id_of_part

UseCase = Callable[[Work, Caller], Task]


def leaving(request: tasks.EnqueueTaskRequest | tasks.ResetTaskRequest) -> queueing.Leaving:
    """Which task leaves what it does."""
    return queueing.Leaving(request.task_id, request.etag, request.local_attempt, tails(request.tails))


def use_case(request: Message, clock: Clock, ids: Ids) -> UseCase:
    """What a request of a verb asks for."""
    return _VERBS[type(request)](cast("Any", request), clock, ids)


def _reset(request: tasks.ResetTaskRequest, clock: Clock, ids: Ids) -> UseCase:
    left = leaving(request)
    return lambda work, caller: queueing.reset(work, caller, left, request.keep_results, clock.now())


def _abort(request: tasks.AbortTaskRequest, clock: Clock, ids: Ids) -> UseCase:
    return lambda work, caller: queueing.abort(
        work, caller, request.task_id, request.etag, request.message, clock.now()
    )


def _dequeue(request: tasks.DequeueTaskRequest, clock: Clock, ids: Ids) -> UseCase:
    return lambda work, caller: queueing.dequeue(work, caller, request.task_id, request.etag, clock.now())


def _delete(request: tasks.DeleteTaskRequest, clock: Clock, ids: Ids) -> UseCase:
    which = Which(request.task_id, request.etag)
    return lambda work, caller: upkeep.delete(work, caller, which, request.force, clock.now())


def _undelete(request: tasks.UndeleteTaskRequest, clock: Clock, ids: Ids) -> UseCase:
    which = Which(request.task_id, request.etag)
    return lambda work, caller: upkeep.undelete(work, caller, which, clock.now(), ids)


def _move(request: tasks.MoveTaskRequest, clock: Clock, ids: Ids) -> UseCase:
    which = Which(request.task_id, request.etag)
    return lambda work, caller: upkeep.move(work, caller, which, request.project_name, clock.now(), ids)


def _tag(request: tasks.TagTaskRequest, clock: Clock, ids: Ids) -> UseCase:
    which = Which(request.task_id, request.etag)
    return lambda work, caller: upkeep.tag(work, caller, which, request.add, request.remove, clock.now())


def _plain(move: Callable[[Task, Any], Task]) -> Callable[[Any, Clock, Ids], UseCase]:
    """A verb that needs the task and the moment alone."""

    def verb(request: Any, clock: Clock, ids: Ids) -> UseCase:
        which = Which(request.task_id, request.etag)
        return lambda work, caller: upkeep.change(work, caller, which, lambda task: move(task, clock.now()))

    return verb


_VERBS: Mapping[type[Message], Callable[[Any, Clock, Ids], UseCase]] = {
    tasks.ResetTaskRequest: _reset,
    tasks.AbortTaskRequest: _abort,
    tasks.DequeueTaskRequest: _dequeue,
    tasks.DeleteTaskRequest: _delete,
    tasks.MoveTaskRequest: _move,
    tasks.TagTaskRequest: _tag,
    tasks.PublishTaskRequest: _plain(lifecycle.publish),
    tasks.ArchiveTaskRequest: _plain(lifecycle.archive),
    tasks.UnarchiveTaskRequest: _plain(lifecycle.unarchive),
    tasks.UndeleteTaskRequest: _undelete,
}


async def each(
    request: tasks.BatchChangeTasksRequest, run: Callable[[str, Any], Awaitable[Any]]
) -> list[tasks.TaskResult]:
    """Run all changes, those of one task in their order. `run` takes a method's name and its request."""
    results: list[tasks.TaskResult] = [tasks.TaskResult() for _ in request.changes]
    chains: dict[str, list[tuple[int, str, Any]]] = {}
    for index, change in enumerate(request.changes):
        verb = str(change.WhichOneof("change"))
        asked = getattr(change, verb)
        if request.request_id and "request_id" in asked.DESCRIPTOR.fields_by_name and not asked.request_id:
            asked.request_id = request_id_of_part(request.request_id, index)
        chains.setdefault(asked.task_id, []).append((index, f"{verb.capitalize()}Task", asked))
    await asyncio.gather(*(_chain(steps, run, results) for steps in chains.values()))
    return results


async def _chain(
    steps: Sequence[tuple[int, str, Any]],
    run: Callable[[str, Any], Awaitable[Any]],
    results: list[tasks.TaskResult],
) -> None:
    for index, method, asked in steps:
        try:
            task = (await run(method, asked)).task
        except RpcError as error:
            results[index] = tasks.TaskResult(status=to_status(error))
            continue
        task.spec.ClearField("source")
        task.spec.ClearField("parameters")
        results[index] = tasks.TaskResult(task=task)
        results[index].status.code = OK
