"""One API process among several on one database: who delivers what, and who follows the queue's events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from batuta_chassis.bus import Bus
from batuta_chassis.database import Database
from batuta_chassis.members import SqlMembers
from batuta_chassis.membership import Membership
from batuta_chassis.outbox_sender import OutboxSender
from batuta_chassis.service import Hook
from batuta_chassis.transactions import SqlTransactor
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids


class Among:
    """Each process delivers what it has posted itself, and what dead ones left; the oldest follows the events."""

    def __init__(self, database: Database, bus: Bus, address: str, clock: Clock, ids: Ids) -> None:
        """`address` is for people."""
        self._database = database
        self.bus = bus
        self._changed = asyncio.Event()
        self._changed.set()
        bare = SqlTransactor[Connection](database, lambda connection: connection)
        self._membership: Membership[Connection] = Membership(bare, SqlMembers, address, clock, ids)
        self._membership.on_anew(self._take_name)

    async def enter(self) -> None:
        """Become one of them."""
        await self._membership.enter()
        self._take_name()

    async def leave(self) -> None:
        """Have the others take over at once."""
        await self._membership.leave()

    @property
    def leads(self) -> Callable[[], bool]:
        """Tells whether this process follows the queue's events."""
        return lambda: self._membership.leading

    def background(self, sender: OutboxSender) -> Sequence[Hook]:
        """What runs besides."""

        async def live() -> None:
            await self._membership.run(self._changed.set)

        async def take_over() -> None:
            while True:
                await self._changed.wait()
                self._changed.clear()
                try:
                    await sender.take_over()
                except BaseException:
                    self._changed.set()  # started again, this looks again
                    raise

        return (live, take_over, self.bus.run)

    def _take_name(self) -> None:
        self._database.process = self._membership.id
        self._changed.set()
