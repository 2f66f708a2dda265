"""What is done now and then: runs that were asked to stop and never answered, deleted tasks, and old refusals."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from batuta_api.tasks import runs, upkeep
from batuta_api.work import Work, Works
from batuta_rpc.clock import Clock

PERIOD = 15.0
AUDIT_KEPT = timedelta(days=90)
_CHANGES_AT_ONCE = 5_000


class Housekeeping:
    """Background work."""

    def __init__(self, works: Works, clock: Clock) -> None:
        self._works = works
        self._clock = clock

    async def run(self) -> None:
        """Go round until cancelled."""
        rounds = 0
        while True:
            await self._go_round(self._clock.now(), thorough=rounds % 240 == 0)  # once an hour
            rounds += 1
            await self._clock.sleep(PERIOD)

    async def _go_round(self, now: datetime, thorough: bool) -> None:
        if await self._works.read(lambda work: bool(work.tasks.stopping_locally(now - runs.GIVE_UP_AFTER, 1))):
            await self._works.write(lambda work: runs.give_up(work, now))
        while await self._works.read(lambda work: bool(work.tasks.due_for_purge(now, 1))):
            await self._works.write(lambda work: upkeep.purge(work, now), bulk=1)
        if thorough:
            await self._works.write(lambda work: work.audit.purge(now - AUDIT_KEPT, work.limits.refusals))
            while await self._works.write(_purge_changes(now)) == _CHANGES_AT_ONCE:
                pass


def _purge_changes(now: datetime) -> Callable[[Work], int]:
    return lambda work: work.changes.purge(now - timedelta(days=work.limits.change_days), _CHANGES_AT_ONCE)
