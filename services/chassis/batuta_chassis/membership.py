"""One process among several on one database: it says that it lives, notices who does not, and what it misses itself.

Whoever was taken for dead (it was frozen, or cut off) finds its row gone: nothing that it writes is stored any more,
and it begins anew under another id, as a process that has just started.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from batuta_chassis.members import Member, MemberStore
from batuta_chassis.transactions import Transactor
from batuta_rpc.clock import Clock, within
from batuta_rpc.errors import ShuttingDown
from batuta_rpc.ids import Ids

S = TypeVar("S")
T = TypeVar("T")

_log = logging.getLogger(__name__)
_LIMIT = 15.0
"""Seconds to wait for the database in one look."""
_LEAVE_LIMIT = 5.0
"""The same at the end: what does not leave is taken for dead a little later."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often one looks, and what follows from it. Seconds."""

    period: float = 1.0
    quiet_looks: int = 10
    """Looks in a row at which a row has not moved, after which its process counts as dead."""
    sure: float = 8.0
    """How long after its last beat a process may rely on not being counted as dead: less than those looks take."""


class Membership(Generic[S]):
    """The row of this process, and its looks at the others'."""

    def __init__(
        self,
        transactor: Transactor[S],
        members: Callable[[S], MemberStore],
        address: str,
        clock: Clock,
        ids: Ids,
        pace: Pace | None = None,
    ) -> None:
        """`transactor` must not be one that is fenced by this membership."""
        self._transactor = transactor
        self._members = members
        self._address = address
        self._clock = clock
        self._ids = ids
        self._pace = pace or Pace()
        self._entered = False
        self._sure_until = 0.0
        self._seen: dict[str, tuple[int, int]] = {}
        self._anew: list[Callable[[], None]] = []
        self.id = ids.new_id()
        """Of this process; another one after it was taken for dead."""

    @property
    def confirmed(self) -> bool:
        """Whether nobody can have taken this process for dead yet. Leases are prolonged only then."""
        return self._entered and self._clock.boottime() < self._sure_until

    @property
    def leading(self) -> bool:
        """Whether this is the oldest of the processes: for work that one of them does for all. For a moment it may be
        true of two, so such work must stand that."""
        return self.confirmed and min(self._seen, default="") == self.id

    def on_anew(self, hook: Callable[[], None]) -> None:
        """Have `hook` called when this process was taken for dead: all that it had belongs to others now."""
        self._anew.append(hook)

    async def enter(self) -> None:
        """Become a member."""
        asked = self._clock.boottime()
        member = Member(self.id, self._address, 0)
        await self._transactor.write(lambda store: self._enter(store, member))
        self._entered = True
        self._sure_until = asked + self._pace.sure

    async def leave(self) -> None:
        """Take the own row out, so that the others need not wait for this process to be dead."""
        me, self._entered = self.id, False
        await within(self._clock, _LEAVE_LIMIT, self._transactor.write(lambda store: self._remove_own(store, me)))

    async def look(self) -> bool:
        """One beat, and one look at the others. Whether some member is gone, or this one begins anew."""
        asked, me = self._clock.boottime(), self.id
        if not self._entered:
            await self.enter()
            return True
        if not await self._in_time(self._transactor.write(lambda store: self._members(store).beat(me))):
            await self._begin_anew()
            return True
        self._sure_until = asked + self._pace.sure
        rows = await self._in_time(self._transactor.read(lambda store: self._members(store).all()))
        gone = bool(self._seen.keys() - {row.id for row in rows})
        for row in self._quiet(rows):
            gone = await self._in_time(self._bury(row)) or gone
        return gone

    async def run(self, changed: Callable[[], None]) -> None:
        """Look for ever; `changed` is called when a look says so."""
        while True:
            await self._clock.sleep(self._pace.period)
            try:
                if await self.look():
                    changed()
            except Exception as error:
                _log.warning("this process cannot say that it lives: %s", error)

    def fenced(self, fn: Callable[[S], T]) -> Callable[[S], T]:
        """`fn`, but that it raises `ShuttingDown` and changes nothing when this process was taken for dead."""
        me = self.id

        def guarded(store: S) -> T:
            if not self._members(store).present(me):
                raise ShuttingDown("this process was taken for dead and begins anew; come again in a moment")
            return fn(store)

        return guarded

    async def _in_time(self, work: Coroutine[Any, Any, T]) -> T:
        return await within(self._clock, _LIMIT, work)

    def _quiet(self, rows: list[Member]) -> list[Member]:
        """The others whose rows have not moved for so many looks."""
        seen: dict[str, tuple[int, int]] = {}
        for row in rows:
            beats, looks = self._seen.get(row.id, (-1, 0))
            seen[row.id] = (row.beats, looks + 1 if beats == row.beats else 0)
        self._seen = seen
        return [row for row in rows if row.id != self.id and seen[row.id][1] >= self._pace.quiet_looks]

    async def _bury(self, row: Member) -> bool:
        me = self.id
        buried = await self._transactor.write(
            lambda store: self._members(store).present(me) and self._members(store).remove(row)
        )
        if buried:
            _log.warning("the process at %s (%s) is silent and counts as dead", row.address, row.id)
        return buried

    async def _begin_anew(self) -> None:
        _log.error(
            "this process (%s) was taken for dead, because it stood still or was cut off; it begins anew", self.id
        )
        self._entered = False
        self._seen.clear()
        self.id = self._ids.new_id()
        for hook in self._anew:
            hook()
        await self.enter()

    def _enter(self, store: S, member: Member) -> None:
        members = self._members(store)
        # It is there when the answer to the commit before this one was lost.
        if not members.present(member.id):
            members.add(member)

    def _remove_own(self, store: S, me: str) -> None:
        members = self._members(store)
        for row in members.all():
            if row.id == me:
                members.remove(row)


class FencedTransactor(Generic[S]):
    """A `Transactor` that stores nothing for a process which was taken for dead."""

    def __init__(self, transactor: Transactor[S], membership: Membership[S]) -> None:
        self._transactor = transactor
        self._membership = membership

    async def write(self, fn: Callable[[S], T]) -> T:
        """Run `fn` as a member. Raises `ShuttingDown` for one who is none any more."""
        return await self._transactor.write(self._membership.fenced(fn))

    async def read(self, fn: Callable[[S], T]) -> T:
        """Run `fn` on one snapshot."""
        return await self._transactor.read(fn)
