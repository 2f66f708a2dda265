"""The event log as its readers see it: from a cursor on, or from a snapshot, without holes, then what comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from batuta_chassis.hub import Hub
from batuta_chassis.transactions import Transactor
from batuta_queue.model import Event
from batuta_queue.numbers import Numbers
from batuta_queue.signals import EVENTS
from batuta_queue.store import LogBounds, QueueStore
from batuta_rpc.errors import CursorExpired, RateLimited, ShuttingDown

_STOPPED = "events-stopped"
_COME_AGAIN = 5.0


@dataclass(frozen=True, slots=True)
class Part:
    """Some events. `position` is where the log goes on after them; None while a snapshot lasts."""

    epoch: str
    events: Sequence[Event]
    position: int | None
    synced: bool = False


class EventLog:
    """Reads the log."""

    def __init__(self, transactor: Transactor[QueueStore], hub: Hub, numbers: Numbers) -> None:
        self._transactor = transactor
        self._hub = hub
        self._batch = numbers.event_batch
        self._limit = numbers.max_watches
        self._open = 0
        self._stopped = False

    def stop(self) -> None:
        """End all watches: the process is going down."""
        self._stopped = True
        self._hub.wake(_STOPPED)

    async def watch(self, after: tuple[str, int] | None) -> AsyncGenerator[Part]:
        """The parts of the log for ever; the first one after a cursor may have no events.

        `after` is (log epoch, last position seen). None begins with a snapshot: the newest event of every entry that
        has not ended, by entry, then one part that is `synced`. Raises `CursorExpired` for a cursor of another log or
        of a part that is gone, `RateLimited` beyond the limit of watches, and `ShuttingDown`.
        """
        with self._place():
            async with self._hub.subscribe(EVENTS, _STOPPED) as wake:
                bounds = await self._transactor.read(lambda store: store.log_bounds())
                position, ahead, tell = bounds.head, dict[str, int](), True
                if after is not None:
                    position = _checked(after, bounds)
                else:
                    async for events in self._snapshot():
                        ahead.update((each.entry_id, each.position) for each in events if each.position > position)
                        yield Part(bounds.epoch, events, None)
                    tell = False
                    yield Part(bounds.epoch, (), position, synced=True)
                while not self._stopped:
                    events = await self._read(position)
                    if events and events[0].position != position + 1:
                        raise CursorExpired("events behind this cursor are forgotten; begin again without a cursor")
                    if events or tell:
                        tell, position = False, events[-1].position if events else position
                        yield Part(bounds.epoch, _unseen(events, ahead), position)
                    if len(events) < self._batch:
                        await wake.wait()
        raise ShuttingDown("the queue service is going down; come back with the last cursor")

    async def _snapshot(self) -> AsyncIterator[list[Event]]:
        """Pages by entry id, each read for itself: an entry that ends meanwhile says so in the log that follows."""
        events: list[Event] = []
        while not self._stopped:
            events = await self._live(events[-1].entry_id if events else "")
            if events:
                yield events
            if len(events) < self._batch:
                return

    async def _live(self, after_id: str) -> list[Event]:
        return await self._transactor.read(lambda store: store.live_events(after_id, self._batch))

    @contextmanager
    def _place(self) -> Generator[None]:
        if self._open >= self._limit:
            raise RateLimited(
                f"{self._open} streams of the event log are open, and this service serves no more (max_watches); "
                f"come again in {_COME_AGAIN:g} s",
                retry_delay=_COME_AGAIN,
            )
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def _read(self, position: int) -> list[Event]:
        return await self._transactor.read(lambda store: store.events(position, self._batch))


def _unseen(events: Sequence[Event], ahead: Mapping[str, int]) -> Sequence[Event]:
    """Without what a snapshot has already gone beyond: told again it would take its entry back in time."""
    if not ahead:
        return events
    return [each for each in events if each.position > ahead.get(each.entry_id, 0)]


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
