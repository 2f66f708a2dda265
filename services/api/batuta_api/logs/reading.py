"""Reading logs, and following them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from batuta_api import topics
from batuta_api.calls import Calls
from batuta_api.closing import Closing
from batuta_api.logs import quota
from batuta_api.logs.convert import Reading, render
from batuta_api.logs.followers import Followers
from batuta_api.logs.model import StoredChunk, Stream
from batuta_api.tasks import admission, ending
from batuta_api.tasks.model import Tail, TailKind
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_chassis.hub import Hub
from batuta_proto.logs import v1 as logs
from batuta_rpc.clock import Clock

Wait = Callable[[float], Awaitable[bool]]
PAGE_BYTES = 1024 * 1024
_LOOK_AGAIN = 15.0
_LOOK_FOR_TAILS = 1.0


@dataclass(frozen=True)
class Page:
    """Some chunks. `over`: the run has ended; `complete`: there is nothing after these."""

    chunks: list[StoredChunk]
    over: bool
    complete: bool


class LogReader:
    """Streams logs to readers."""

    def __init__(self, calls: Calls, hub: Hub, followers: Followers, closing: Closing, clock: Clock) -> None:
        self._calls = calls
        self._hub = hub
        self._followers = followers
        self._closing = closing
        self._clock = clock

    async def read(self, asked: Reading) -> AsyncIterator[logs.ReadLogResponse]:
        """What is stored, then `synced`, then with `follow` what comes until the end.

        Raises `OtherTask`, `TaskNotFound`, `ShuttingDown`.
        """
        if not asked.follow:
            async for answer in self._stored_and_new(asked, None):
                yield answer
            return
        with self._followers.following(asked.task_id):
            async with self._hub.subscribe(
                topics.log(asked.task_id), topics.task(asked.task_id), topics.CLOSING
            ) as changes:
                async for answer in self._stored_and_new(asked, changes.wait):
                    yield answer

    async def _stored_and_new(self, asked: Reading, wait: Wait | None) -> AsyncIterator[logs.ReadLogResponse]:
        position, skip = await self._calls.ask("ReadLog", lambda work, caller: begin(work, caller, asked))
        synced = False
        while True:
            self._closing.check()
            page = await self._page(asked, position)
            if page.chunks:
                position = page.chunks[-1].position
                yield render(page.chunks, position, skip, synced=False)
                skip = 0
                continue
            if not synced:
                synced = True
                yield render([], position, 0, synced=True)
            if wait is None or page.complete:
                return
            await wait(_LOOK_FOR_TAILS if page.over else _LOOK_AGAIN)

    async def _page(self, asked: Reading, after: int) -> Page:
        now = self._clock.now()
        return await self._calls.ask("ReadLog", lambda work, caller: read_page(work, caller, asked, after, now))


def begin(work: Work, caller: Caller, asked: Reading) -> tuple[int, int]:
    """The position to read after, and how many bytes of the first chunk to pass over."""
    admission.find(work, caller, asked.task_id)
    if asked.tail_bytes:
        return work.logs.tail_position(asked.task_id, asked.attempt, asked.tail_bytes)
    return asked.after_position, 0


def read_page(work: Work, caller: Caller, asked: Reading, after: int, now: datetime) -> Page:
    """The next chunks, and whether more can come. Raises `OtherTask`, `TaskNotFound`."""
    task = admission.find(work, caller, asked.task_id)
    chunks = work.logs.read(asked.task_id, asked.attempt, after, PAGE_BYTES)
    if chunks:
        return Page(chunks, over=False, complete=False)
    attempt = asked.attempt or task.status.attempt

    cut = quota.spent(work, task.id, attempt)

    def stored(tail: Tail) -> int:
        return tail.end if cut else work.logs.committed(Stream(task.id, attempt, tail.producer))

    complete = ending.complete(work, task, asked.attempt, TailKind.LOG, stored, now)
    return Page([], ending.over(task, asked.attempt), complete)
