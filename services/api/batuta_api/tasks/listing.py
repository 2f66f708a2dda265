"""Reading tasks: one whole, some by their ids, or a page of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from google.rpc.code_pb2 import OK

from batuta_api import pages
from batuta_api.projects.closed import access_of
from batuta_api.tasks import admission, asking, columns
from batuta_api.tasks.columns import Columns
from batuta_api.tasks.convert import render
from batuta_api.tasks.model import Definition, Task
from batuta_api.tasks.refusals import missing
from batuta_api.tasks.wanted import Order, Place, TaskFilter
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.errors import to_status

_LIST = "tasks"


@dataclass(frozen=True)
class Query:
    """A page that is asked for. `asked` is what a token of it is sealed with."""

    wanted: TaskFilter
    order: Order
    after: Place | None
    size: int
    asked: tasks.ListTasksRequest
    columns: Columns


def whole(work: Work, caller: Caller, task_id: str) -> tuple[Task, Definition]:
    """A task with its definition; a run gets its own while its attempt counts.

    Raises `OtherTask`, `TaskNotFound`, `StaleAttempt`.
    """
    task = admission.find(work, caller, task_id)
    admission.check_token(task, caller)
    return task, work.tasks.definition(task_id)


def some(work: Work, caller: Caller, task_ids: Sequence[str]) -> list[tasks.TaskResult]:
    """Tasks by their ids, in that order; one that is missing is told in its place."""
    access = access_of(work, caller)
    known = {task.id: task for task in work.tasks.many(task_ids) if access.sees(task.project_name)}
    return [_result(known.get(task_id), task_id) for task_id in task_ids]


def _result(task: Task | None, task_id: str) -> tasks.TaskResult:
    if task is None:
        return tasks.TaskResult(status=to_status(missing(task_id)))
    result = tasks.TaskResult(task=render(task))
    result.status.code = OK
    return result


def query(request: tasks.ListTasksRequest) -> Query:
    """What a request asks for. Raises `FieldViolation`, also for a page token that is not this list's."""
    asked = tasks.ListTasksRequest(filter=request.filter, order_by=request.order_by)
    place = pages.unseal(request.page_token, _LIST, asked, 3)
    return Query(
        asking.tasks_wanted(request.filter),
        asking.order(request.order_by),
        None if place is None else Place(pages.moment(place[0]), str(place[1]), place[2]),
        pages.size(request.page_size),
        asked,
        Columns.of(request),
    )


def page(work: Work, caller: Caller, query: Query) -> tasks.ListTasksResponse:
    """The page, and the token of the next one when there is more."""
    wanted = replace(query.wanted, shown=access_of(work, caller).shown)
    found = work.tasks.page(wanted, query.after, query.size + 1, query.order)
    shown, token = found[: query.size], ""
    if len(found) > query.size:
        last = shown[-1]
        place: list[pages.Part] = [pages.micros(last.task.create_time), last.task.id, last.value]
        token = pages.seal(_LIST, query.asked, place)
    return tasks.ListTasksResponse(
        tasks=[render(each.task) for each in shown],
        next_page_token=token,
        values=columns.values(work, query.columns, [each.task.id for each in shown]),
    )
