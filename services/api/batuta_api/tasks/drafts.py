"""Making, editing and copying drafts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from batuta_api import topics
from batuta_api.projects import naming
from batuta_api.tasks import admission, lifecycle
from batuta_api.tasks.convert import Edit
from batuta_api.tasks.model import Definition, NotDraft, Task, TaskState
from batuta_api.tasks.refusals import check_etag, told
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_rpc.ids import Ids

_FOR_PEOPLE = frozenset({"display_name", "tags", "comment"})
"""What may be changed in any state: nothing is run by it."""


@dataclass(frozen=True)
class Copy:
    """What a clone has of its own; empty is the original's."""

    task_id: str
    display_name: str = ""
    project_name: str = ""
    comment: str = ""
    parent_task_id: str = ""


def create(
    work: Work, caller: Caller, project_name: str, parts: Edit, now: datetime, ids: Ids
) -> tuple[Task, Definition]:
    """Make a draft, and its project where it is missing. Raises `FieldViolation`."""
    project = naming.ensure(work, caller, project_name, now, ids)
    task = Task(
        id=ids.new_id(),
        owner=caller.subject,
        project_id=project.id,
        project_name=project.display_name,
        create_time=now,
        update_time=now,
        **parts.fields,
    )
    definition = parts.on(Definition())
    work.tasks.add(task, definition)
    work.announce(topics.task(task.id))
    return task, definition


def update(
    work: Work, caller: Caller, task_id: str, etag: str, attempt: int, parts: Edit, now: datetime
) -> tuple[Task, Definition]:
    """Change parts of a draft, what is for people of any task, or a run by that run itself.

    Raises `OtherTask`, `TaskNotFound`, `TaskNotDraft`, `IllegalTransition`, `StaleAttempt`, `EtagMismatch`.
    """
    if attempt or caller.is_attempt:
        task = admission.find_run(work, caller, task_id, attempt or caller.attempt or 0, now)
    else:
        task = admission.find(work, caller, task_id)
        with told(task):
            if task.status.state is not TaskState.DRAFT and (parts.definition or parts.fields.keys() - _FOR_PEOPLE):
                raise NotDraft(task)
            lifecycle.edit(task, now)
    check_etag(task, etag)
    changed = task.edited(now, **parts.fields)
    definition = parts.on(work.tasks.definition(task_id))
    work.tasks.put(changed, definition if parts.definition else None)
    work.announce(topics.task(task_id))
    return changed, definition


def clone(work: Work, caller: Caller, copy: Copy, now: datetime, ids: Ids) -> tuple[Task, Definition]:
    """Make a draft with the same spec and none of the results. Raises `TaskNotFound`, `FieldViolation`."""
    original = admission.find(work, caller, copy.task_id)
    project = naming.ensure(work, caller, copy.project_name or original.project_name, now, ids)
    made = Task(
        id=ids.new_id(),
        display_name=copy.display_name or original.display_name,
        owner=caller.subject,
        project_id=project.id,
        project_name=project.display_name,
        create_time=now,
        update_time=now,
        tags=original.tags,
        type=original.type,
        comment=copy.comment or original.comment,
        parent_task_id=copy.parent_task_id or original.id,
        environment=original.environment,
        resources=original.resources,
        retry=original.retry,
    )
    definition = work.tasks.definition(original.id)
    work.tasks.add(made, definition)
    work.announce(topics.task(made.id))
    return made, definition
