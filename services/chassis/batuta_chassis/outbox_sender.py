"""Delivers what the outbox holds: at once after the commit, in order per key, until it has arrived."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

import grpc
from sqlalchemy import Connection, delete, update

from batuta_chassis.database import DOUBT, Database
from batuta_chassis.outbox import OUTBOX, OutboxRow, behind, rows_after, take_over
from batuta_rpc.backoff import Backoff
from batuta_rpc.clock import Clock
from batuta_rpc.errors import RpcError
from batuta_rpc.ids import Ids

Deliver = Callable[[OutboxRow], Awaitable[None]]
"""Hands one message to its receiver, with a deadline of its own. Raises `RpcError` when it did not arrive."""
Refused = Callable[[OutboxRow, RpcError], Awaitable[None]]
"""Told when the receiver will never take a message; afterwards the message is gone. May be told twice after a crash."""

_log = logging.getLogger(__name__)
_IN_MEMORY = 10_000
_IN_FLIGHT = 64
_PAGE = 1_000
_SWEEP_PERIOD = 0.05
_PERMANENT = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
_BEHIND_PERIOD = 0.1
"""Seconds between two looks whether another process has delivered what goes first."""
_FAULTS = 10
"""Tries for a message on which the receiver (or `deliver`) breaks, before it counts as refused."""


class OutboxSender:
    """Background work of a service that has an outbox: pass `run` to `Service.background`.

    Messages come straight from the commit, without a read; the table is read at the start, and again whenever more
    wait than memory should hold.
    """

    def __init__(
        self, database: Database, deliver: Deliver, clock: Clock, ids: Ids, on_refused: Refused | None = None
    ) -> None:
        self._database = database
        self._deliver = deliver
        self._clock = clock
        self._ids = ids
        self._on_refused = on_refused
        self._begin()

    def _begin(self) -> None:
        self._lanes: dict[str, deque[OutboxRow]] = {}
        self._ready: deque[str] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._taken = 0
        self._live = False
        self._missed = False
        self._doubtful = False
        self._delivered: list[int] = []
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Deliver until cancelled. Messages on their way are then tried again by the next run."""
        self._begin()
        unlisten = self._database.listen("outbox", self._hear), self._database.listen(DOUBT, self._doubt)
        others = asyncio.create_task(self._sweep()), asyncio.create_task(self._settle_doubts())
        try:
            while True:
                await self._load()
                await self._until(lambda: not self._live and self._waiting < _IN_MEMORY // 2)
        finally:
            for each in unlisten:
                each()
            for task in (*self._tasks, *others):
                task.cancel()
            await asyncio.gather(*self._tasks, *others, return_exceptions=True)

    async def take_over(self) -> None:
        """Deliver what processes left that are gone, and what is ours and was never heard of. For one process of
        several."""
        process = self._database.process
        rows = await self._database.write(partial(take_over, process=process))
        known = {row.id for lane in self._lanes.values() for row in lane} | set(self._delivered)
        for row in rows:
            if row.id not in known:
                self._push(row)
        self._pump()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def _hear(self, row: OutboxRow) -> None:
        """A message was committed. Runs on the event loop, in the order of the commits."""
        if not self._live:
            self._missed = True
        elif self._waiting >= _IN_MEMORY:
            self._live = False  # the rest stays in the table until there is room
            self._changed.set()
        elif row.id > self._taken:
            self._push(row)
            self._pump()

    def _doubt(self, _none: object) -> None:
        """A commit may have gone through of which nobody has heard, and a message with it."""
        self._doubtful = True
        self._changed.set()

    async def _settle_doubts(self) -> None:
        while True:
            await self._until(lambda: self._doubtful)
            self._doubtful = False
            try:
                await self.take_over()
            except Exception:
                _log.exception("looking for messages of a commit in doubt failed; trying again")
                self._doubtful = True
                await self._clock.sleep(1.0)

    async def _load(self) -> None:
        """Take from the table what is there, then listen. Between the last look and listening nothing is awaited."""
        while not self._live:
            self._missed = False
            after = self._taken
            mine = partial(rows_after, after=after, limit=_PAGE, process=self._database.process)
            rows = await self._database.read(mine)
            for row in rows:
                self._push(row)
            self._pump()
            if self._waiting >= _IN_MEMORY:
                return
            self._live = len(rows) < _PAGE and not self._missed

    def _push(self, row: OutboxRow) -> None:
        self._taken = max(self._taken, row.id)
        self._waiting += 1
        lane = self._lanes.get(row.ordering_key)
        if lane is None:
            self._lanes[row.ordering_key] = deque([row])
            self._ready.append(row.ordering_key)
        else:
            # What was taken over may be older than what waits already.
            lane.insert(sum(1 for each in lane if each.id < row.id), row)

    def _pump(self) -> None:
        while self._ready and len(self._tasks) < _IN_FLIGHT:
            task = asyncio.create_task(self._drive(self._ready.popleft()))
            self._tasks.add(task)
            task.add_done_callback(self._parked)

    def _parked(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()
            self._pump()

    async def _drive(self, key: str) -> None:
        """Deliver everything of one key, in order."""
        lane = self._lanes[key]
        while lane:
            row = lane[0]
            if row.behind:
                await self._until_first(row)
                if lane[0] is not row:
                    continue  # an older one was taken over meanwhile
            await self._bring(row)
            lane.remove(row)
            self._delivered.append(row.id)
            self._waiting -= 1
            self._changed.set()
        del self._lanes[key]

    async def _until_first(self, row: OutboxRow) -> None:
        """Wait until no other process has an older message of this key: it delivers them, or dies and they are ours."""
        while True:
            process = self._database.process
            look = partial(behind, ordering_key=row.ordering_key, row_id=row.id, process=process)
            if not process or not await self._database.read(look):
                return
            await self._clock.sleep(_BEHIND_PERIOD)

    async def _bring(self, row: OutboxRow) -> None:
        """Deliver one message, trying until it has arrived or was refused."""
        backoff = Backoff(self._ids)
        faults = 0
        while True:
            try:
                await self._deliver(row)
                return
            except RpcError as error:
                faults += error.code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
                if error.code in _PERMANENT or faults >= _FAULTS:
                    await self._refuse(row, error)
                    return
                wait = max(backoff.next(), min(error.retry_delay or 0.0, 30.0))
                _log.warning("outbox message %d (%s) waits %.1f s: %s", row.id, row.topic, wait, error)
            except Exception:
                faults += 1
                _log.exception("delivering outbox message %d (%s) failed", row.id, row.topic)
                if faults >= _FAULTS:
                    await self._refuse(row, RpcError(f"delivering {row.topic} fails on this message; see the log"))
                    return
                wait = backoff.next()
            await self._count(row)
            await self._clock.sleep(wait)

    async def _count(self, row: OutboxRow) -> None:
        try:
            await self._database.write(partial(_count_attempt, row_id=row.id))
        except Exception:
            _log.exception("counting a try of outbox message %d failed", row.id)  # a number for people, no more

    async def _refuse(self, row: OutboxRow, error: RpcError) -> None:
        _log.error("outbox message %d (%s) is refused for good: %s", row.id, row.topic, error)
        backoff = Backoff(self._ids)
        while self._on_refused is not None:
            try:
                await self._on_refused(row, error)
                return
            except Exception:
                _log.exception("what follows the refusal of outbox message %d failed; trying again", row.id)
            await self._clock.sleep(backoff.next())

    async def _sweep(self) -> None:
        """Delete what has arrived, many at a time: a crash before that only delivers them again."""
        while True:
            await self._until(lambda: bool(self._delivered))
            await self._clock.sleep(_SWEEP_PERIOD)
            done, self._delivered = self._delivered, []
            try:
                await self._database.write(partial(_remove, ids=done))
            except Exception:
                _log.exception("deleting %d delivered outbox messages failed; trying again", len(done))
                self._delivered = done + self._delivered
                await self._clock.sleep(1.0)


def _remove(connection: Connection, ids: list[int]) -> None:
    for start in range(0, len(ids), 500):
        connection.execute(delete(OUTBOX).where(OUTBOX.c.id.in_(ids[start : start + 500])))


def _count_attempt(connection: Connection, row_id: int) -> None:
    connection.execute(update(OUTBOX).where(OUTBOX.c.id == row_id).values(attempts=OUTBOX.c.attempts + 1))
