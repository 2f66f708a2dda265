"""Writing to streams whose peers may not read: each write has an end, so that no stream is half open for long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

from batuta_proto.agents import v1 as agents
from batuta_queue.outgoing import Outgoing
from batuta_rpc.clock import Clock
from batuta_rpc.errors import SlowConsumer

Write = Callable[[agents.SessionResponse], Awaitable[None]]

_LAST_WRITE = 1.0
"""Seconds for the write that is under way when a stream has been ended."""


class Writer:
    """Writes the messages of one session to its stream."""

    def __init__(self, outgoing: Outgoing, write: Write, clock: Clock) -> None:
        self._outgoing = outgoing
        self._write = write
        self._clock = clock
        self._since: float | None = None
        self._task: asyncio.Task[object] | None = None
        self._torn = False

    async def run(self) -> None:
        """Until the queue ends. Raises what ended it, or `SlowConsumer` when one write took too long."""
        self._task = asyncio.current_task()
        try:
            while (message := await self._outgoing.get()) is not None:
                self._since = self._clock.monotonic()
                await self._write(message)
                self._since = None
        except asyncio.CancelledError:
            if not self._torn or self._task is None:
                raise
            self._task.uncancel()
            raise SlowConsumer("the agent read nothing for so long that its stream was ended") from None
        finally:
            self._task = None

    def hangs(self, now: float, limit: float) -> bool:
        """Whether a write has waited for the peer for so long."""
        allowed = limit if self._outgoing.open else min(limit, _LAST_WRITE)
        return self._since is not None and now - self._since >= allowed

    def forgive(self, now: float) -> None:
        """This process stood still: the write under way gets its time again."""
        if self._since is not None:
            self._since = now

    def tear(self) -> None:
        """End a write that hangs, and the stream with it."""
        if self._task is not None and not self._torn:
            self._torn = True
            self._task.cancel()


class Writers:
    """All writers of one process, those of sessions that were superseded too."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: set[Writer] = set()

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def writer(self, outgoing: Outgoing, write: Write) -> Generator[Writer]:
        """A writer that is watched while it runs."""
        made = Writer(outgoing, write, self._clock)
        self._open.add(made)
        try:
            yield made
        finally:
            self._open.discard(made)

    def tear(self, now: float, limit: float) -> None:
        """End the streams whose peers have taken nothing for `limit` seconds."""
        for each in list(self._open):
            if each.hangs(now, limit):
                each.tear()

    def forgive(self, now: float) -> None:
        """This process stood still."""
        for each in self._open:
            each.forgive(now)
