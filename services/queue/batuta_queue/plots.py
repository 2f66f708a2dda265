"""Histories as they are asked for: a stretch of time in so many points at most."""

from __future__ import annotations

from dataclasses import dataclass

from batuta_chassis.transactions import Transactor
from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_queue.agent_view import no_agent
from batuta_queue.convert import duration, millis_of
from batuta_queue.history import TIERS, Point, thinned, tier_of
from batuta_queue.history_store import of_agent, of_queue
from batuta_queue.queues import not_found
from batuta_queue.samples import agent_message, queue_message
from batuta_queue.store import QueueStore
from batuta_rpc.clock import Clock
from batuta_rpc.errors import FieldViolation

_USUAL, _MOST = 500, 5_000
_HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What is read: a tier from `since` to `until`, `step` of its points as one."""

    tier: int
    since: int
    until: int
    step: int

    @property
    def resolution(self) -> int:
        """Milliseconds for which each point stands."""
        return TIERS[self.tier].period * self.step


class Plots:
    """The use cases of `GetQueueHistory` and `GetAgentHistory`."""

    def __init__(self, transactor: Transactor[QueueStore], clock: Clock) -> None:
        self._transactor = transactor
        self._clock = clock

    async def queue(self, request: queues.GetQueueHistoryRequest) -> queues.GetQueueHistoryResponse:
        """The history of a queue. Raises `QueueNotFound` and `FieldViolation`."""
        stretch = self._stretch(request)

        def read(store: QueueStore) -> list[tuple[int, Point]]:
            if store.queue(request.queue_id) is None:
                raise not_found(store, request.queue_id)
            return _read(store, of_queue(request.queue_id), stretch)

        found = await self._transactor.read(read)
        return queues.GetQueueHistoryResponse(
            resolution=duration(stretch.resolution / 1000), points=[queue_message(*each) for each in found]
        )

    async def agent(self, request: agents.GetAgentHistoryRequest) -> agents.GetAgentHistoryResponse:
        """The history of an agent. Raises `AgentNotFound` and `FieldViolation`."""
        stretch = self._stretch(request)

        def read(store: QueueStore) -> list[tuple[int, Point]]:
            if store.agent(request.agent_id) is None:
                raise no_agent(request.agent_id)
            return _read(store, of_agent(request.agent_id), stretch)

        found = await self._transactor.read(read)
        return agents.GetAgentHistoryResponse(
            resolution=duration(stretch.resolution / 1000), points=[agent_message(*each) for each in found]
        )

    def _stretch(self, request: queues.GetQueueHistoryRequest | agents.GetAgentHistoryRequest) -> _Stretch:
        now = self._clock.unix_millis()
        until = min(now, millis_of(request.end_time)) if request.HasField("end_time") else now
        start = millis_of(request.start_time) if request.HasField("start_time") else until - _HOUR
        if start >= until:
            problem = "must be before end_time, which is now where it is absent"
            raise FieldViolation(
                f"start_time {problem}", field_violations=[("start_time", problem)], field="start_time"
            )
        start = max(start, now - TIERS[-1].span)
        number = tier_of(start, now)
        most = min(request.max_points or _USUAL, _MOST)
        period, step = TIERS[number].period, max(1, (until - start) // (TIERS[number].period * most))
        while until - _begin(start, period * step) > period * step * most:
            step += 1
        return _Stretch(number, _begin(start, period * step), until, step)


def _begin(millis: int, period: int) -> int:
    return millis - millis % period


def _read(store: QueueStore, subject: str, stretch: _Stretch) -> list[tuple[int, Point]]:
    found = store.history(subject, stretch.tier, stretch.since, stretch.until)
    return thinned(found, TIERS[stretch.tier].period, stretch.step)
