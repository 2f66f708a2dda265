"""Reading scalars, and following them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from batuta_api import topics
from batuta_api.calls import Calls
from batuta_api.closing import Closing
from batuta_api.metrics.convert import SeriesQuery, render_page
from batuta_api.metrics.model import Column, Producer, Summary
from batuta_api.metrics.store import Wanted
from batuta_api.tasks import admission, ending
from batuta_api.tasks.model import Tail, TailKind
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_chassis.hub import Hub
from batuta_proto.metrics import v1 as metrics
from batuta_rpc.clock import Clock

Wait = Callable[[float], Awaitable[bool]]
PAGE_POINTS = 50_000
_LOOK_AGAIN = 15.0
_LOOK_FOR_TAILS = 1.0


@dataclass(frozen=True)
class Page:
    """Some points. `over`: the run has ended; `complete`: there is nothing after these."""

    columns: list[Column]
    position: int
    over: bool
    complete: bool


class ScalarReader:
    """Streams points to readers."""

    def __init__(self, calls: Calls, hub: Hub, closing: Closing, clock: Clock) -> None:
        self._calls = calls
        self._hub = hub
        self._closing = closing
        self._clock = clock

    async def read(self, request: metrics.ReadScalarsRequest) -> AsyncIterator[metrics.ReadScalarsResponse]:
        """What is stored, then `synced`, then with `follow` what comes until the end.

        Raises `OtherTask`, `TaskNotFound`, `ShuttingDown`.
        """
        if not request.follow:
            async for answer in self._stored_and_new(request, None):
                yield answer
            return
        task_id = request.task_id
        async with self._hub.subscribe(topics.scalars(task_id), topics.task(task_id), topics.CLOSING) as changes:
            async for answer in self._stored_and_new(request, changes.wait):
                yield answer

    async def _stored_and_new(
        self, request: metrics.ReadScalarsRequest, wait: Wait | None
    ) -> AsyncIterator[metrics.ReadScalarsResponse]:
        position, synced = request.after_position, False
        while True:
            self._closing.check()
            page = await self._page(request, position)
            if page.columns:
                position = page.position
                yield render_page(page.columns, position, synced=False)
                continue
            if not synced:
                synced = True
                yield render_page([], position, synced=True)
            if wait is None or page.complete:
                return
            await wait(_LOOK_FOR_TAILS if page.over else _LOOK_AGAIN)

    async def _page(self, request: metrics.ReadScalarsRequest, after: int) -> Page:
        wanted, now = Wanted(request.metric, request.variant), self._clock.now()
        return await self._calls.ask(
            "ReadScalars", lambda work, caller: read_page(work, caller, request.task_id, wanted, after, now)
        )


def read_page(work: Work, caller: Caller, task_id: str, wanted: Wanted, after: int, now: datetime) -> Page:
    """The next points, and whether more can come. Raises `OtherTask`, `TaskNotFound`."""
    task = admission.find(work, caller, task_id)
    found = work.scalars.read(task_id, wanted, after, PAGE_POINTS)
    if found.columns:
        return Page(found.columns, found.position, over=False, complete=False)

    def stored(tail: Tail) -> int:
        return work.scalars.committed(Producer(task_id, task.status.attempt, tail.producer))

    complete = ending.complete(work, task, 0, TailKind.SCALARS, stored, now)
    return Page([], after, ending.over(task, 0), complete)


def summaries(work: Work, caller: Caller, asked: SeriesQuery) -> list[Summary]:
    """The page of a task's series, and one more if there are more. Raises `OtherTask`, `TaskNotFound`."""
    admission.find(work, caller, asked.task_id)
    return work.scalars.summaries(asked.task_id, asked.after, asked.size + 1)
