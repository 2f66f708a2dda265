"""What people do to tasks that do not run: seal, hide, delete, move, tag."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from batuta_api import topics
from batuta_api.artifacts import removing
from batuta_api.projects import naming
from batuta_api.tasks import admission, lifecycle
from batuta_api.tasks.model import Task
from batuta_api.tasks.refusals import check_etag, told
from batuta_api.violations import violation
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_rpc.ids import Ids

TAGS = 200
PURGED_AT_ONCE = 50


@dataclass(frozen=True)
class Which:
    """A task, and the version of it that is meant; an empty etag is any."""

    task_id: str
    etag: str = ""


def change(work: Work, caller: Caller, which: Which, move: Callable[[Task], Task]) -> Task:
    """Keep what a move of the model makes of a task. Raises `TaskNotFound`, `EtagMismatch`, `IllegalTransition`."""
    task = admission.find(work, caller, which.task_id)
    check_etag(task, which.etag)
    with told(task):
        after = move(task)
    if after is not task:
        work.tasks.put(after, None)
        work.announce(topics.task(task.id))
    return after


def delete(work: Work, caller: Caller, which: Which, force: bool, now: datetime) -> Task:
    """Delete a task; it goes for good after the days that the limit `deleted_days` says. Raises as `change` does."""
    kept = timedelta(days=work.limits.deleted_days)
    return change(work, caller, which, lambda task: lifecycle.delete(task, force, kept, now))


def undelete(work: Work, caller: Caller, which: Which, now: datetime, ids: Ids) -> Task:
    """Take a deletion back; a project that is gone meanwhile is made again. Raises as `change` does."""

    def back(task: Task) -> Task:
        if task.delete_time is None:
            return task
        project = naming.ensure(work, caller, task.project_name, now, ids)
        return replace(lifecycle.undelete(task, now), project_id=project.id)

    return change(work, caller, which, back)


def move(work: Work, caller: Caller, which: Which, project_name: str, now: datetime, ids: Ids) -> Task:
    """Put a task into a project, which is made where it is missing. Raises as `change` does, and `FieldViolation`."""
    project = naming.ensure(work, caller, project_name, now, ids)
    fields = {"project_id": project.id, "project_name": project.display_name}
    return change(work, caller, which, lambda task: lifecycle.edit(task, now, **fields))


def tag(work: Work, caller: Caller, which: Which, add: Sequence[str], remove: Sequence[str], now: datetime) -> Task:
    """Add tags and take tags away. Raises as `change` does, and `FieldViolation`."""
    both = sorted(set(add) & set(remove))
    if both:
        raise violation("remove", f"{both[0]!r} is to be added as well")

    def tagged(task: Task) -> Task:
        tags = tuple(dict.fromkeys(each for each in (*task.tags, *add) if each not in set(remove)))
        if len(tags) > TAGS:
            raise violation("add", f"the task would have {len(tags)} tags; {TAGS} is the most")
        return lifecycle.edit(task, now, tags=tags)

    return change(work, caller, which, tagged)


def purge(work: Work, now: datetime) -> int:
    """Remove some deleted tasks whose time is over, with all they had. How many."""
    due = work.tasks.due_for_purge(now, PURGED_AT_ONCE)
    for task_id in due:
        work.logs.drop(task_id, for_good=True)
        work.scalars.drop(task_id, for_good=True)
        removing.drop(work, task_id, now)
        work.attempts.trim(task_id, 0)
        work.tasks.remove(task_id)
        work.announce(topics.task(task_id))
    return len(due)
