"""Reading tasks: one whole, or a page of many."""

from __future__ import annotations

from dataclasses import dataclass

from batuta_api import pages
from batuta_api.tasks import admission
from batuta_api.tasks.convert import render
from batuta_api.tasks.model import Definition, Task, TaskState
from batuta_api.tasks.store import Place, TaskFilter
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_proto.tasks import v1 as tasks

_LIST = "tasks"


@dataclass(frozen=True)
class Query:
    """A page that is asked for."""

    wanted: TaskFilter
    after: Place | None
    size: int
    filter: tasks.ListTasksRequest.Filter


def whole(work: Work, caller: Caller, task_id: str) -> tuple[Task, Definition]:
    """A task with its definition; a run gets its own while its attempt counts.

    Raises `OtherTask`, `TaskNotFound`, `StaleAttempt`.
    """
    task = admission.find(work, caller, task_id)
    admission.check_token(task, caller)
    return task, work.tasks.definition(task_id)


def query(request: tasks.ListTasksRequest) -> Query:
    """What a request asks for. Raises `FieldViolation` for a page token that is not this list's."""
    asked = request.filter
    place = pages.unseal(request.page_token, _LIST, asked, 2)
    return Query(
        TaskFilter(
            asked.project_name,
            asked.display_name,
            frozenset(TaskState(state) for state in asked.states),
            frozenset(asked.tags),
        ),
        None if place is None else Place(pages.moment(place[0]), str(place[1])),
        pages.size(request.page_size),
        asked,
    )


def page(work: Work, asked: Query) -> tasks.ListTasksResponse:
    """The page, and the token of the next one when there is more."""
    found = work.tasks.page(asked.wanted, asked.after, asked.size + 1)
    shown, token = found[: asked.size], ""
    if len(found) > asked.size:
        last = shown[-1]
        token = pages.seal(_LIST, asked.filter, [pages.micros(last.create_time), last.id])
    return tasks.ListTasksResponse(tasks=[render(task) for task in shown], next_page_token=token)
