"""Moves tasks by the queue service's events. Each event counts once: the place in the log moves with the tasks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from batuta_api import topics
from batuta_api.tasks import entries, events, history, reconciling
from batuta_api.tasks.events import EntryEvent
from batuta_api.tasks.link import Link
from batuta_api.tasks.model import Phase, Task
from batuta_api.tasks.queue_names import QueueNames
from batuta_api.tasks.store import Cursor
from batuta_api.work import Work, Works
from batuta_proto.queues import v1 as queues
from batuta_rpc.backoff import Backoff
from batuta_rpc.clock import Clock
from batuta_rpc.errors import CursorExpired, QueueNotFound, RpcError, Unimplemented
from batuta_rpc.ids import Ids

if TYPE_CHECKING:
    import grpc.aio

_LONGEST_WAIT = 2.0
"""Seconds between two tries: there is one follower, and every task waits for it."""
_DEADLINE = 20.0
_STANDBY = 0.5
"""Seconds between two looks of a process that leaves the following to another one."""
_LOOKS = 8
_LOOK_PERIOD = 0.25
"""How often, and with what pause, one looks again for tasks with a message on its way."""
_log = logging.getLogger(__name__)


Leads = Callable[[], bool]


def always() -> bool:
    """A process that is alone follows."""
    return True


class CursorMoved(Exception):
    """Another process has applied these events."""


def apply_batch(work: Work, batch: Sequence[EntryEvent], known: Cursor | None, to: Cursor, now: datetime) -> None:
    """Apply events that lie between two places. Raises `CursorMoved`, and changes nothing, when `known` is passed."""
    if not work.cursor.advance(known, to):
        raise CursorMoved
    _apply_all(work, batch, now)


def apply_snapshot(work: Work, batch: Sequence[EntryEvent], now: datetime) -> None:
    """Apply a part of a snapshot, which may come any number of times: the newest event of each live entry."""
    _apply_all(work, batch, now)
    for event in batch:
        reconciling.stray(work, event)


def begin_at(work: Work, to: Cursor) -> None:
    """Go on from here: all that a snapshot told, and all that it left out, has been dealt with."""
    if not work.cursor.advance(None, to):
        raise CursorMoved


def _apply_all(work: Work, batch: Sequence[EntryEvent], now: datetime) -> None:
    for event in batch:
        try:
            _apply(work, event, now)
        except (ValueError, TypeError, KeyError, OverflowError):
            # A fault of ours; were it raised, every later event of every task would wait behind this one.
            _log.exception("an event of the queue service is passed over: %r", event)


def _apply(work: Work, event: EntryEvent, now: datetime) -> None:
    task = work.tasks.get(event.task_id)
    if task is None:
        return  # of a deleted task, or of another deployment's
    if event.phase.ended and event.phase is not Phase.LOST and event.tails:
        work.tasks.add_tails(event.task_id, event.attempt, event.tails)
    moved = events.apply(task, event, now)
    if moved is not task:
        work.tasks.put_status(moved)
    news = history.heard(work, event, now)
    if moved is not task or news or event.tails:
        work.announce(topics.task(task.id))


def forget_place(work: Work, known: Cursor | None) -> None:
    """Begin the log again: its owner no longer knows the place."""
    if not work.cursor.advance(known, None):
        raise CursorMoved


class Follower:
    """Background work: one stream of events, opened again whenever it ends."""

    def __init__(
        self,
        works: Works,
        channel: grpc.aio.Channel,
        link: Link,
        names: QueueNames,
        clock: Clock,
        ids: Ids,
        leads: Leads = always,
        heard: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """`leads`: whether this process follows; of several one does. `heard` is told how old each event was when its
        task had moved, in seconds."""
        self._heard = heard
        self._leads = leads
        self._works = works
        self._link = link
        self._names = names
        self._stub = queues.QueueServiceStub(channel)
        self._clock = clock
        self._ids = ids

    async def run(self) -> None:
        """Follow until cancelled."""
        backoff = Backoff(self._ids, cap=_LONGEST_WAIT)
        while True:
            lived = False
            if not self._leads():
                # Nothing here shows how the queue service does: whoever delivers finds out by trying.
                self._link.set(True)
                await self._clock.sleep(_STANDBY)
                continue
            try:
                known = await self._works.read(lambda work: work.cursor.get())
                async for answer in self._stub.WatchAttempts(entries.watch_after(known)):
                    lived = True
                    self._link.set(True)
                    known = await self._take(answer, known)
            except CursorMoved:
                _log.info("another process follows the queue service's events; reading the place again")
            except CursorExpired as error:
                _log.warning("the queue service's event log is another one; beginning again: %s", error)
                await self._works.write(lambda work: forget_place(work, work.cursor.get()))
            except RpcError as error:
                _log.warning("the queue service's events are cut off: %s", error)
            self._link.set(False)
            if lived:
                backoff.reset()
            await self._clock.sleep(backoff.next())

    async def _take(self, answer: queues.WatchAttemptsResponse, known: Cursor | None) -> Cursor | None:
        to = entries.cursor(answer.cursor)
        batch = await self._read(answer.events)
        now = self._clock.now()
        if answer.snapshot:
            await self._works.write(lambda work: apply_snapshot(work, batch, now))
            batch = []
        if answer.synced and known is None:
            await self._reconcile()
            await self._works.write(lambda work: begin_at(work, to))
            return to
        if answer.snapshot or to == known or not to.log_epoch:
            return known
        await self._works.write(lambda work: apply_batch(work, batch, known, to, now))
        now = self._clock.now()
        for event in batch:
            if event.event_time is not None:
                self._heard(max(0.0, (now - event.event_time).total_seconds()))
        return to

    async def _read(self, told: Iterable[queues.EntryEvent]) -> list[EntryEvent]:
        """Events as the model knows them, each with the name of the queue that it was in."""
        batch = [event for each in told if (event := entries.event(each)) is not None]
        names: dict[str, str] = {}
        for queue_id in {event.queue_id for event in batch} - {""}:
            with suppress(QueueNotFound):  # deleted since; its task keeps the name that it had
                names[queue_id] = (await self._names.find(queue_id, "", create=False)).name
        return [replace(event, queue_name=names.get(event.queue_id, "")) for event in batch]

    async def _reconcile(self) -> None:
        """Ask for every entry that ought to be there. Cut off anywhere, it begins again with the next snapshot."""
        later: list[str] = []
        after, asking = "", True
        while asking:
            page = await self._works.read(partial(reconciling.page, after=after))
            later += page.later
            await self._settle(page.tasks)
            after, asking = page.last, bool(page.last)
        for _ in range(_LOOKS):  # what is on its way for longer than this has not arrived, and will
            if not later:
                return
            await self._clock.sleep(_LOOK_PERIOD)
            waiting, later = later, []
            for start in range(0, len(waiting), reconciling.PAGE):
                ids = waiting[start : start + reconciling.PAGE]
                page = await self._works.read(partial(reconciling.these, ids=ids))
                later += page.later
                await self._settle(page.tasks)

    async def _settle(self, found: Sequence[Task]) -> None:
        if not found:
            return
        question = entries.asked(task.status.entry_id for task in found)
        try:
            answer = await self._stub.BatchGetEntries(question, timeout=_DEADLINE)
        except Unimplemented:
            return  # a queue service of before; it tells its log from the beginning
        told = {event.entry_id: event for event in await self._read(answer.events)}
        now = self._clock.now()
        await self._works.write(lambda work: reconciling.settle(work, found, told, now, self._ids))
