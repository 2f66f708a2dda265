"""Wake-ups: somebody waits for a topic, somebody else says that it changed, here or in another process of the service.

A hub carries no data and keeps no backlog: a wake-up means "look again". Any number of publications before a
subscriber looks count as one. So losing the hub, or waking too often, can cost time but never correctness.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from batuta_chassis.bus import Bus
from batuta_rpc.clock import Clock, within


class Hub:
    """The topics of one event loop."""

    def __init__(self, clock: Clock, limit: int = 100_000) -> None:
        """`limit` bounds the subscriptions that may be open at once."""
        self._clock = clock
        self._limit = limit
        self._open = 0
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._bus: Bus | None = None

    def connect(self, bus: Bus) -> None:
        """Share topics with the other processes of this service from now on."""
        self._bus = bus
        bus.listen(self.wake)

    @property
    def look_again(self) -> float | None:
        """Seconds after which whoever waits looks all the same, because another process's wake-up may be lost. None:
        there is no other process."""
        return None if self._bus is None else self._bus.look_again

    def publish(self, topic: str) -> None:
        """Wake everybody who waits for `topic`, now or at their next wait, in every process."""
        self.wake(topic)
        if self._bus is not None:
            self._bus.send(topic)

    def wake(self, topic: str) -> None:
        """The same in this process only. Costs nothing when nobody listens."""
        for subscription in self._subscriptions.get(topic, ()):
            subscription.wake()

    def subscribe(self, *topics: str) -> Subscription:
        """A subscription to one or more topics; an async context manager. It begins when it is entered."""
        return Subscription(self, topics)

    @property
    def clock(self) -> Clock:
        """The clock by which waits end."""
        return self._clock

    def add(self, subscription: Subscription) -> None:
        """Enter a subscription. Raises `RuntimeError` beyond the limit: subscriptions are then leaking."""
        if self._open >= self._limit:
            raise RuntimeError(f"{self._open} hub subscriptions are open; somebody does not leave theirs")
        self._open += 1
        for topic in subscription.topics:
            self._subscriptions.setdefault(topic, set()).add(subscription)

    def remove(self, subscription: Subscription) -> None:
        """Leave."""
        self._open -= 1
        for topic in subscription.topics:
            members = self._subscriptions.get(topic)
            if members is not None:
                members.discard(subscription)
                if not members:
                    del self._subscriptions[topic]


class Subscription:
    """One who waits. Enter it before reading the state that it waits for, or a change in between is missed."""

    def __init__(self, hub: Hub, topics: tuple[str, ...]) -> None:
        self.topics = frozenset(topics)
        self._hub = hub
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Note that something changed."""
        self._event.set()

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait for a publication since the last wait, at most `timeout` seconds. False: the time ran out.

        Where there are other processes it may return True without one, see `Hub.look_again`.
        """
        if not self._event.is_set():
            again = self._hub.look_again
            sooner = again is not None and (timeout is None or again < timeout)
            limit = again if sooner else timeout
            if limit is None:
                await self._event.wait()
            else:
                try:
                    await within(self._hub.clock, limit, self._event.wait())
                except TimeoutError:
                    return sooner
        self._event.clear()
        return True

    async def __aenter__(self) -> Self:
        self._hub.add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hub.remove(self)
