"""What the API does once the queue service has begun its log anew: every entry that ought to be there is asked for.

The log may be new because its beginning was dropped, or because the queue service's database was restored from an
older copy. Then it may have forgotten entries, may take ended tasks for alive, and may be about to give out numbers of
attempts a second time. What the API knows of its tasks stands above that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from batuta_api import topics
from batuta_api.tasks import entries, events, history, lifecycle
from batuta_api.tasks.convert import render
from batuta_api.tasks.events import EntryEvent
from batuta_api.tasks.model import EntryState, Phase, Task, TaskState, TaskStatus
from batuta_api.work import Work
from batuta_rpc.ids import Ids

PAGE = 500
QUEUE_RESTORED = "QUEUE_RESTORED"
_MESSAGE = "the queue service came back from an older copy and had lost the run; it is queued again"


class Verdict(Enum):
    """What is to be done with a task."""

    APPLY = "the queue service is right"
    AGAIN = "it does not know the entry: submit it again"
    REPLACE = "it knows less of the entry than we do: a new one in its place"
    END = "it does not know what is to stop: it has stopped"


def verdict(status: TaskStatus, told: EntryEvent | None) -> Verdict:
    """What to do with a live task after the newest event of its entry; None for an entry that is not known."""
    stopping = status.state is TaskState.STOPPING
    if told is None:
        return Verdict.END if stopping else Verdict.AGAIN
    if told.entry_state is EntryState.WITHDRAWN or not _fell_back(status, told):
        return Verdict.APPLY
    return Verdict.END if stopping else Verdict.REPLACE


def _fell_back(status: TaskStatus, told: EntryEvent) -> bool:
    """Whether attempts that we have heard of are unknown to the queue service, which would give out their numbers."""
    if told.attempt:
        return told.attempt < status.attempt
    return status.phase is not Phase.NONE


def stray(work: Work, told: EntryEvent) -> None:
    """Have the queue service drop a live entry that is not, or no longer, what its task is doing."""
    task = work.tasks.get(told.task_id)
    if task is None or told.entry_state in (EntryState.DONE, EntryState.WITHDRAWN):
        return
    status = task.status
    if status.entry_id != told.entry_id or status.state.ended or status.state is TaskState.DRAFT:
        work.outbox.add(topics.WITHDRAW, task.id, entries.withdrawal(told.entry_id))


@dataclass(frozen=True)
class Page:
    """Live tasks to ask for; ids of those to ask for later; and the last id looked at, "" at the end of all.

    Later: a message about them is on its way to the queue service, or has just arrived and counts as on its way.
    """

    tasks: list[Task]
    later: list[str]
    last: str = ""


def page(work: Work, after: str) -> Page:
    """The next live tasks after an id that have an entry at the queue service."""
    found = work.tasks.with_entries(after, PAGE)
    return _page(work, found, found[-1].id if len(found) == PAGE else "")


def these(work: Work, ids: Sequence[str]) -> Page:
    """Those of some tasks that have an entry still."""
    found = [task for each in ids if (task := work.tasks.get(each)) is not None and task.status.entry_id]
    return _page(work, [task for task in found if not task.status.state.ended], "")


def _page(work: Work, found: Sequence[Task], last: str) -> Page:
    pending = work.outbox.pending([task.id for task in found])
    return Page([task for task in found if task.id not in pending], sorted(pending), last)


def settle(work: Work, known: Sequence[Task], told: Mapping[str, EntryEvent], now: datetime, ids: Ids) -> None:
    """Bring tasks and queue service together. `told` was read after `known`, so it ought not to be behind."""
    for before in known:
        task = work.tasks.get(before.id)
        if task is None or task.status.entry_id != before.status.entry_id:
            continue
        if task.status.attempt != before.status.attempt or task.status.state.ended:
            continue  # it has moved in between, so it is alive
        _settle(work, task, told.get(task.status.entry_id), now, ids)


def _settle(work: Work, task: Task, told: EntryEvent | None, now: datetime, ids: Ids) -> None:
    status = task.status
    match verdict(status, told):
        case Verdict.APPLY:
            assert told is not None
            after = events.apply(task, told, now)
            history.heard(work, replace(told, task_id=task.id), now)
        case Verdict.AGAIN:
            after = _queue_again(work, task, status.entry_id, now)
        case Verdict.REPLACE:
            work.outbox.add(topics.WITHDRAW, task.id, entries.withdrawal(status.entry_id))
            after = _queue_again(work, task, ids.new_id(), now)
        case Verdict.END:
            work.outbox.add(topics.WITHDRAW, task.id, entries.withdrawal(status.entry_id))
            after = lifecycle.forgotten(task, status.entry_id, now)
            history.gone(work, task, QUEUE_RESTORED, "the queue service had lost it, and it was to stop", now)
    if after is not task:
        work.tasks.put_status(after)
        work.announce(topics.task(task.id))


def _queue_again(work: Work, task: Task, entry_id: str, now: datetime) -> Task:
    """The task queued under that entry, its submission on the way; attempts go on above the highest we know."""
    untried = task.status.phase is Phase.NONE and not task.status.attempt_open
    if untried and entry_id == task.status.entry_id:
        after = task  # it only waited, and goes on waiting
    else:
        after = lifecycle.requeue(task, entry_id, QUEUE_RESTORED, _MESSAGE, now)
        history.gone(work, task, QUEUE_RESTORED, "the queue service came back from an older copy and had lost it", now)
    shown = render(after, work.tasks.definition(task.id))
    work.outbox.add(topics.SUBMIT, task.id, entries.submission(after, shown))
    return after
