"""Many agents gone at once: then the network or this broker is at fault, not each of them, and lost work stays put.

An agent is vanished when it is not online, said no goodbye, and was heard within the window. The pause begins when more
than a few agents and more than a share of all have vanished, and ends by itself: as they come back, or as the window
passes. It holds back only what silence decides; proof of death and an operator's word count as ever.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from batuta_chassis.transactions import Transactor
from batuta_queue.numbers import Numbers
from batuta_queue.sessions import SessionRegistry
from batuta_queue.share import Share
from batuta_queue.store import QueueStore
from batuta_rpc.clock import Clock

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pause:
    """Lost work is not given away: since when, and until when at the latest (milliseconds since 1970)."""

    begin_millis: int
    expire_millis: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """All agents together at one moment."""

    online: int
    vanished: int
    pause: Pause | None


def judge(online: int, vanished: Collection[int], numbers: Numbers) -> Pause | None:
    """Whether so many are gone that lost work stays; `vanished` says when each of them was last heard."""
    heard = sorted(vanished)
    # Those heard longest ago leave the window first; the pause lasts until so many have that the rest is no mass.
    for gone, millis in enumerate(heard):
        if not _is_mass(online, len(heard) - gone, numbers):
            return None if gone == 0 else Pause(heard[0], _end(heard[gone - 1], numbers))
        if gone == len(heard) - 1:
            return Pause(heard[0], _end(millis, numbers))
    return None


class MassLoss:
    """Watches over how many agents are gone."""

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        registry: SessionRegistry,
        share: Share,
        numbers: Numbers,
        clock: Clock,
    ) -> None:
        self._transactor = transactor
        self._registry = registry
        self._share = share
        self._numbers = numbers
        self._clock = clock
        self._paused = False
        self.held_back = 0
        """Attempts that would have been given away by now."""

    async def look(self) -> Fleet:
        """The fleet as it is now."""
        since = self._clock.unix_millis() - round(self._numbers.mass_loss_window * 1000)
        heard = await self._transactor.read(lambda store: store.heard_since(since))
        return self._count(heard)

    async def holds(self, expired: int) -> bool:
        """Whether `expired` attempts, whose leases have run out, stay where they are for now. Says so in the log when
        that begins and when it ends."""
        if not expired and not self._paused:
            return False
        fleet = await self.look()
        self.held_back = expired if fleet.pause is not None else 0
        if (fleet.pause is not None) is not self._paused:
            self._paused = fleet.pause is not None
            _log.warning(
                "%s: %d agents are online and %d have vanished",
                "many agents are gone at once, so lost work is not given away for now"
                if self._paused
                else "lost work is given away again",
                fleet.online,
                fleet.vanished,
            )
        return self._paused

    def _count(self, heard: Mapping[str, int]) -> Fleet:
        now = self._clock.monotonic()
        online = {each.agent.id for each in self._registry.all() if self._registry.online(each, now)}
        online |= self._share.online_elsewhere().keys()
        vanished = [millis for agent_id, millis in heard.items() if agent_id not in online]
        return Fleet(len(online), len(vanished), judge(len(online), vanished, self._numbers))


def _is_mass(online: int, vanished: int, numbers: Numbers) -> bool:
    return vanished > numbers.mass_loss_agents and vanished > numbers.mass_loss_share * (online + vanished)


def _end(heard: int, numbers: Numbers) -> int:
    return heard + round(numbers.mass_loss_window * 1000)
