"""The event log as its readers see it: from a cursor on, without holes, then what comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from batuta_chassis.hub import Hub
from batuta_chassis.transactions import Transactor
from batuta_queue.aftermath import EVENTS
from batuta_queue.model import Event
from batuta_queue.numbers import Numbers
from batuta_queue.store import LogBounds, QueueStore
from batuta_rpc.errors import CursorExpired, ShuttingDown

_STOPPED = "events-stopped"


class EventLog:
    """Reads the log."""

    def __init__(self, transactor: Transactor[QueueStore], hub: Hub, numbers: Numbers) -> None:
        self._transactor = transactor
        self._hub = hub
        self._batch = numbers.event_batch
        self._stopped = False

    def stop(self) -> None:
        """End all watches: the process is going down."""
        self._stopped = True
        self._hub.wake(_STOPPED)

    async def watch(self, after: tuple[str, int] | None) -> AsyncGenerator[tuple[str, int, Sequence[Event]]]:
        """(log epoch, position after these events, events) for ever; the first answer may have no events.

        `after` is (log epoch, last position seen); None begins with the oldest event kept. Raises `CursorExpired` for
        a cursor of another log or of a part that is gone, and `ShuttingDown`.
        """
        async with self._hub.subscribe(EVENTS, _STOPPED) as wake:
            bounds = await self._transactor.read(lambda store: store.log_bounds())
            position = bounds.first - 1 if after is None else _checked(after, bounds)
            first = True
            while not self._stopped:
                events = await self._read(position)
                if events and events[0].position != position + 1:
                    raise CursorExpired("events after this cursor have been forgotten; begin again without a cursor")
                if events or first:
                    first = False
                    position = events[-1].position if events else position
                    yield bounds.epoch, position, events
                if len(events) < self._batch:
                    await wake.wait()
        raise ShuttingDown("the queue service is going down; come back with the last cursor")

    async def _read(self, position: int) -> list[Event]:
        return await self._transactor.read(lambda store: store.events(position, self._batch))


def _checked(after: tuple[str, int], bounds: LogBounds) -> int:
    epoch, position = after
    if epoch != bounds.epoch:
        raise CursorExpired(
            f"the cursor is of the log {epoch!r} and this one is {bounds.epoch}; begin again without a cursor",
            log_epoch=bounds.epoch,
        )
    if not bounds.first - 1 <= position <= bounds.head:
        raise CursorExpired(
            f"the cursor stands at {position} and the log holds {bounds.first} to {bounds.head}; "
            "begin again without a cursor",
            position=position,
            first=bounds.first,
            head=bounds.head,
        )
    return position
