"""What waits for the writer of a database, and what goes first."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from sqlalchemy import Connection

from batuta_chassis.unit import Unit

_log = logging.getLogger(__name__)
_GROUP = 256
"""Use cases in one commit at most: what waits behind them should not wait long."""
_BULK_BYTES = 1024 * 1024
"""Bulk data in one commit, more or less: what comes meanwhile should not wait long."""
_LATE_BYTES = _BULK_BYTES // 8
"""Of that, the room that late data has where other bulk data never ends."""
_LEAN = 8
"""Of so many commits with anything else in them, one takes bulk data along."""


class Job:
    """One use case on its way through the writer."""

    __slots__ = ("bulk", "context", "error", "future", "late", "loop", "result", "unit", "use_case")

    def __init__(
        self,
        use_case: Callable[[Connection], Any],
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[Any],
        bulk: int,
        late: bool,
    ) -> None:
        self.bulk = bulk
        self.late = late
        self.use_case = use_case
        self.context = copy_context()
        """What the caller knows of its call and trace, for the thread that runs the use case."""
        self.loop = loop
        self.future = future
        self.unit: Unit | None = None
        self.result: Any = None
        self.error: BaseException | None = None

    def forget(self) -> None:
        """Be as before the run, which left nothing behind."""
        self.unit = self.result = self.error = None

    def settle(self) -> None:
        """Run the hooks and wake the caller. Runs in the caller's event loop."""
        if self.error is None and self.unit is not None:
            for hook in self.unit.hooks:
                try:
                    hook()
                except Exception:
                    _log.exception("a hook that runs after commit failed")
        if self.future.done():
            return  # the caller was cancelled while it waited
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Lanes:
    """Three of them: what is not bulk, bulk data, and bulk data that is late.

    Bulk data goes only as fast as the disk takes it, so what is not bulk passes it, and shares its commits with it only
    now and then. Late data is passed by all else. None of them ever stands still.
    """

    def __init__(self) -> None:
        self._urgent: deque[Job] = deque()
        self._bulk: deque[Job] = deque()
        self._late: deque[Job] = deque()
        self._lean = 0

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._urgent or self._bulk or self._late)

    def put(self, job: Job) -> None:
        """Stand in line."""
        (self._urgent if not job.bulk else self._late if job.late else self._bulk).append(job)

    def take(self) -> list[Job]:
        """Those of the next commit."""
        group = [self._urgent.popleft() for _ in range(min(_GROUP, len(self._urgent)))]
        self._lean = (self._lean + 1) % _LEAN if group else 0
        if not self._lean:
            weight = _fill(group, self._bulk, _BULK_BYTES - (_LATE_BYTES if self._late else 0), 2 * _GROUP)
            _fill(group, self._late, max(_LATE_BYTES, _BULK_BYTES - weight), 3 * _GROUP)
        return group


def _fill(group: list[Job], lane: deque[Job], room: int, count: int) -> int:
    """Move jobs from a lane until the room is used, or there are `count` in the group. The bytes of those moved."""
    weight = 0
    while lane and weight < room and len(group) < count:
        group.append(lane.popleft())
        weight += group[-1].bulk
    return weight
