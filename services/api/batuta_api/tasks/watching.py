"""Following one task, or all that fit a filter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from batuta_api import pages, topics
from batuta_api.calls import Calls
from batuta_api.closing import Closing
from batuta_api.projects.closed import access_of
from batuta_api.tasks import admission, asking
from batuta_api.tasks.convert import render
from batuta_api.tasks.model import Task
from batuta_api.tasks.store import Listed
from batuta_api.tasks.wanted import Place, TaskFilter
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_chassis.hub import Hub
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.clock import Clock
from batuta_rpc.errors import FieldViolation

_LOOK_AGAIN = 15.0
"""Seconds after which one looks without having been woken: a lost wake-up costs time, never the truth."""
_BREATH = 0.1
"""Seconds between two looks at all tasks: changes that come faster are merged."""
_PAGE = 200
_LIST = "watch-tasks"


async def watch(calls: Calls, hub: Hub, closing: Closing, task_id: str) -> AsyncIterator[Task]:
    """The task as it is, then at every change; changes that come faster than the reader are merged.

    Raises `OtherTask`, `TaskNotFound`, `ShuttingDown`.
    """
    async with hub.subscribe(topics.task(task_id), topics.CLOSING) as changes:
        shown: Task | None = None
        while True:
            closing.check()
            task = await calls.ask("WatchTask", lambda work, caller: admission.find(work, caller, task_id))
            if task != shown:
                yield task
                shown = task
            await changes.wait(_LOOK_AGAIN)


@dataclass(frozen=True)
class Watching:
    """One stream of all tasks that fit. `asked` is what its tokens are sealed with."""

    calls: Calls
    hub: Hub
    closing: Closing
    clock: Clock
    asked: tasks.ListTasksRequest.Filter
    wanted: TaskFilter

    @classmethod
    def of(cls, request: tasks.WatchTasksRequest, calls: Calls, hub: Hub, closing: Closing, clock: Clock) -> Watching:
        """For a request. Raises `FieldViolation`."""
        return cls(calls, hub, closing, clock, request.filter, asking.tasks_wanted(request.filter))

    async def steps(self, resume_token: str) -> AsyncIterator[tasks.WatchTasksResponse]:
        """What there is or has changed since the token, `synced`, then each change. Raises `ShuttingDown`."""
        async with self.hub.subscribe(topics.TASKS, topics.CLOSING) as changes:
            newest = await self.calls.ask("WatchTasks", lambda work, _: work.tasks.revision())
            at = self._resumed(resume_token, newest)
            if at is None:
                if resume_token:
                    yield tasks.WatchTasksResponse(restarted=True)
                async for step in self._snapshot():
                    yield step
                at = newest
            synced = False
            while True:
                self.closing.check()
                more = True
                while more:
                    found = await self._changed(at)
                    for revision, step in found:
                        at = revision
                        step.resume_token = self._token(at)
                        yield step
                    more = len(found) == _PAGE
                if not synced:
                    yield tasks.WatchTasksResponse(synced=True, resume_token=self._token(at))
                    synced = True
                await self.clock.sleep(_BREATH)
                await changes.wait(_LOOK_AGAIN)

    async def _snapshot(self) -> AsyncIterator[tasks.WatchTasksResponse]:
        after: Place | None = None
        while True:
            found = await self._page(after)
            for each in found:
                yield tasks.WatchTasksResponse(task=render(each.task))
            if len(found) < _PAGE:
                return
            last = found[-1].task
            after = Place(last.create_time, last.id)

    async def _page(self, after: Place | None) -> list[Listed]:
        return await self.calls.ask(
            "WatchTasks", lambda work, caller: work.tasks.page(self._of(work, caller), after, _PAGE)
        )

    async def _changed(self, at: int) -> list[tuple[int, tasks.WatchTasksResponse]]:
        found = await self.calls.ask(
            "WatchTasks", lambda work, caller: work.tasks.changed(at, self._of(work, caller), _PAGE)
        )
        return [
            (
                each.revision,
                tasks.WatchTasksResponse(gone_task_id=each.task_id)
                if each.task is None
                else tasks.WatchTasksResponse(task=render(each.task)),
            )
            for each in found
        ]

    def _of(self, work: Work, caller: Caller) -> TaskFilter:
        return replace(self.wanted, shown=access_of(work, caller).shown)

    def _token(self, at: int) -> str:
        return pages.seal(_LIST, self.asked, [at])

    def _resumed(self, token: str, newest: int) -> int | None:
        """Where the token says to go on; None where it does not fit, or comes from a database that is ahead of ours."""
        try:
            place = pages.unseal(token, _LIST, self.asked, 1)
        except FieldViolation:
            return None
        at = place[0] if place else None
        return at if isinstance(at, int) and at <= newest else None
