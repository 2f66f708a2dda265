"""Samples on their way into the histories: every ten seconds all of this broker's, a bounded part in each commit.

They are bulk data that may be late: whatever else waits for the database goes before them, a full disk refuses them,
and what is refused is lost. The coarser tiers get a minute at a time, so a crash costs them a minute at most.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain, islice

from batuta_chassis.transactions import BulkTransactor
from batuta_queue.history import FINEST, TIERS, Point
from batuta_queue.history_store import of_agent, of_queue, queue_of
from batuta_queue.model import QueueCounts
from batuta_queue.samples import agent_point, queue_point
from batuta_queue.sessions import SessionRegistry
from batuta_queue.store import QueueStore
from batuta_queue.telemetry import Telemetry
from batuta_queue.waits import Waits
from batuta_rpc.clock import Clock

_PART = 200
"""Subjects in one commit."""
_POINT_BYTES = 500
_NOTHING = QueueCounts()
_log = logging.getLogger(__name__)


class Recorder:
    """Background work of one broker."""

    def __init__(
        self,
        transactor: BulkTransactor[QueueStore],
        registry: SessionRegistry,
        telemetry: Telemetry,
        waits: Waits,
        leads: Callable[[], bool],
        clock: Clock,
    ) -> None:
        """`leads`: whether this broker counts the queues; of several one does."""
        self._transactor = transactor
        self._registry = registry
        self._telemetry = telemetry
        self._waits = waits
        self._leads = leads
        self._clock = clock
        self._seen: dict[str, object] = {}
        self._counted: Mapping[str, QueueCounts] = {}
        self._minute: dict[str, Point] = {}
        self._minute_begin = 0
        self._begin = 0

    async def run(self) -> None:
        """Record for ever, at the end of each period of the finest tier."""
        while True:
            await self._clock.sleep((FINEST.period - self._clock.unix_millis() % FINEST.period) / 1000)
            try:
                await self.tick()
            except Exception as error:
                _log.warning("a sample of queues and agents is lost: %s", error)

    async def tick(self) -> None:
        """Store what is seen now as the point of the period that has just ended."""
        # Half a period ago, since a clock may wake us a little early.
        begin = FINEST.begin(self._clock.unix_millis() - FINEST.period // 2)
        if begin == self._begin:
            return
        self._begin = begin
        if TIERS[1].begin(begin) != self._minute_begin:
            await self.flush()
            self._minute_begin = TIERS[1].begin(begin)
        queues = await self._queues()
        await self._store(0, begin, self._noted(chain(queues.items(), self._agents())))

    async def flush(self) -> None:
        """Store what the coarser tiers have not yet."""
        minute, self._minute = self._minute, {}
        for tier in range(1, len(TIERS)):
            await self._store(tier, TIERS[tier].begin(self._minute_begin), minute.items())

    async def stop(self) -> None:
        """Store what the coarser tiers have not yet, at the end: a new process goes on from there."""
        try:
            await self.flush()
        except Exception as error:
            _log.warning("the last minute of the histories is lost: %s", error)

    def _agents(self) -> Iterator[tuple[str, Point]]:
        """The samples that came since the last time."""
        before, self._seen = self._seen, {}
        for session in list(self._registry.all()):
            sample = self._telemetry.of(session.agent.id)
            if sample is not None:
                self._seen[session.agent.id] = sample
                if before.get(session.agent.id) is not sample:
                    yield of_agent(session.agent.id), agent_point(sample)

    def _noted(self, points: Iterable[tuple[str, Point]]) -> Iterator[tuple[str, Point]]:
        """The points, each kept for the coarser tiers as it goes by. Made as they are needed: the event loop is not to
        stand still for all agents at once."""
        for subject, point in points:
            before = self._minute.get(subject)
            self._minute[subject] = point if before is None else before.joined(point)
            yield subject, point

    async def _queues(self) -> dict[str, Point]:
        """Lengths, where this broker counts them, and waits of what was begun here. A queue in which nothing is, and
        was nothing the last time, has no point."""
        begun = self._waits.fetch()
        counts: Mapping[str, QueueCounts] = {}
        if self._leads():
            counts = await self._transactor.read(lambda store: store.count_entries(None))
        lengths = {**dict.fromkeys(self._counted, _NOTHING), **counts} if self._leads() else {}
        self._counted = counts
        return {
            of_queue(queue_id): queue_point(lengths.get(queue_id), begun.get(queue_id))
            for queue_id in lengths.keys() | begun.keys()
        }

    async def _store(self, tier: int, millis: int, points: Iterable[tuple[str, Point]]) -> None:
        waiting = iter(points)
        while part := dict(islice(waiting, _PART)):
            merge = partial(_merge, tier=tier, millis=millis, points=part)
            await self._transactor.write(merge, bulk=_POINT_BYTES * len(part), late=True)


def _merge(store: QueueStore, tier: int, millis: int, points: Mapping[str, Point]) -> None:
    """Other brokers, and this one before it was started again, may have told of the same time. A queue that was deleted
    meanwhile took its history along."""
    points = {each: point for each, point in points.items() if _is_there(store, each)}
    known = store.points_at(list(points), tier, millis)
    store.save_points(
        tier, millis, {each: known[each].joined(point) if each in known else point for each, point in points.items()}
    )


def _is_there(store: QueueStore, subject: str) -> bool:
    queue_id = queue_of(subject)
    return queue_id is None or store.queue(queue_id) is not None
