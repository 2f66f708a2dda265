"""Who waits for whom, in memory: queues in which entries may wait, and sessions that may be given work.

It only saves useless look-ups; what is true stands in the database. A queue may be listed here with nothing in it, but
never the other way round.
"""

from __future__ import annotations

import asyncio
import heapq

from batuta_queue.sessions import Session


class Board:
    """Matches queues with sessions that have credit."""

    def __init__(self) -> None:
        self._waiting: set[str] = set()
        self._marks: dict[str, int] = {}
        self._later: list[tuple[int, str]] = []
        self._since: dict[str, int] = {}
        # By queue: the sessions with credit, the one that was served longest ago first.
        self._ready: dict[str, dict[str, Session]] = {}
        self._wake = asyncio.Event()

    # queues

    def mark(self, queue_id: str, since: int = 0) -> None:
        """An entry may wait in this queue from now on; `since`: the time (wall clock) that it had to wait for."""
        self._waiting.add(queue_id)
        if since:
            self._since[queue_id] = max(since, self._since.get(queue_id, 0))
        self._marks[queue_id] = self._marks.get(queue_id, 0) + 1
        if queue_id in self._ready:
            self._wake.set()

    def mark_at(self, queue_id: str, millis: int) -> None:
        """An entry of this queue may go at that time (wall clock)."""
        heapq.heappush(self._later, (millis, queue_id))

    def due(self, now: int) -> None:
        """Mark the queues whose time has come."""
        while self._later and self._later[0][0] <= now:
            millis, queue_id = heapq.heappop(self._later)
            self.mark(queue_id, millis)

    def marks(self, queue_id: str) -> int:
        """How often the queue was marked so far; see `clear`."""
        return self._marks.get(queue_id, 0)

    def clear(self, queue_id: str, marks: int, now: int) -> None:
        """A look that began when `marks` was read, and whose time was `now`, found nothing left. Marks made since then
        stay."""
        if self.marks(queue_id) != marks:
            return
        self._waiting.discard(queue_id)
        since = self._since.pop(queue_id, 0)
        if since > now:
            # The clock was put back meanwhile: what had come due has to wait again.
            self.mark_at(queue_id, since)

    def may_wait(self, queue_id: str) -> bool:
        """Whether entries may wait in this queue."""
        return queue_id in self._waiting

    def idle_queues(self) -> list[str]:
        """Queues of which nothing is known to wait while somebody would take it."""
        return [queue_id for queue_id in self._ready if queue_id not in self._waiting]

    # sessions

    def refresh(self, session: Session) -> None:
        """Follow a change of a session's credit."""
        if session.credit > 0:
            for queue_id in session.agent.queue_ids:
                self._ready.setdefault(queue_id, {}).setdefault(session.id, session)
                if queue_id in self._waiting:
                    self._wake.set()
            return
        self._unlist(session)

    def forget(self, session: Session) -> None:
        """It is given nothing, whatever its credit, until the next `refresh`."""
        self._unlist(session)

    def reserve(self, queue_id: str) -> Session | None:
        """Take one credit of the session that is next for this queue. Give it back with `release`."""
        for session in self._ready.get(queue_id, {}).values():
            if session.credit > 0:
                self._take(session, 1)
                return session
        return None

    def reserve_all(self, limit: int) -> list[tuple[Session, int]]:
        """Take the credit of every session for which something may wait, up to `limit` in all."""
        taken: dict[str, tuple[Session, int]] = {}
        for queue_id in self._waiting & self._ready.keys():
            for session in list(self._ready.get(queue_id, {}).values()):
                count = min(session.credit, limit)
                if count > 0:
                    limit -= count
                    self._take(session, count)
                    before = taken.get(session.id, (session, 0))[1]
                    taken[session.id] = (session, before + count)
        return list(taken.values())

    def release(self, session: Session, count: int) -> None:
        """Give reserved credit back, used or not: used credit counts as an open attempt by then."""
        session.reserved -= count
        self.refresh(session)

    async def wait(self) -> None:
        """Wait until a queue and a session may have found each other."""
        await self._wake.wait()
        self._wake.clear()

    def _take(self, session: Session, count: int) -> None:
        session.reserved += count
        self._unlist(session)
        self.refresh(session)

    def _unlist(self, session: Session) -> None:
        for queue_id in session.agent.queue_ids:
            ready = self._ready.get(queue_id)
            if ready is not None and ready.get(session.id) is session:
                del ready[session.id]
                if not ready:
                    del self._ready[queue_id]
