"""Getting an attempt's spool to the server: the courier process, started again when it dies before it is done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path

from batuta_agent.waiting import Started
from batuta_courier import launch, layout
from batuta_courier.scalars_reader import SpoolDamaged
from batuta_courier.tails import LOG, tails
from batuta_proto.types import v1 as types
from batuta_rpc.backoff import Backoff
from batuta_rpc.clock import Clock, within
from batuta_rpc.ids import Ids

_LIVED = 30.0


class Delivery:
    """One spool's way to the server."""

    def __init__(self, spool: Path, env: Mapping[str, str], clock: Clock, ids: Ids) -> None:
        """`env`: the courier's whole environment, the attempt's token in it."""
        self._spool = spool
        self._env = env
        self._clock = clock
        self._ids = ids
        self._task: asyncio.Task[None] | None = None
        self._process: Started | None = None

    def start(self, delay: float = 0.0) -> None:
        """Begin to ship, `delay` seconds from now; does nothing when it has begun."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._keep_running(delay))

    async def finished(self, limit: float) -> bool:
        """Say that no more data comes, and wait until everything is stored, or the server has refused it.

        At most `limit` seconds. Returns whether it was. A disk that is full is waited for.
        """
        self.start()
        with contextlib.suppress(asyncio.TimeoutError):
            await within(self._clock, limit, self._close_and_wait())
        return self._over()

    async def _close_and_wait(self) -> None:
        backoff = Backoff(self._ids, first=0.5)
        while not self._try_to_close():
            await self._clock.sleep(backoff.next())
        assert self._task is not None
        await asyncio.shield(self._task)

    def _try_to_close(self) -> bool:
        try:
            layout.write_close(self._spool, layout.Close(finish=False))
        except FileNotFoundError:
            return True  # somebody has deleted the spool
        except OSError:
            return False
        return True

    def refusal(self) -> str:
        """Why the server takes no more of this spool; empty when it does."""
        return layout.read_acks(self._spool).error or ""

    def ends(self) -> list[types.ProducerTail]:
        """How far each producer has written."""
        try:
            found = tails(self._spool)
        except (OSError, SpoolDamaged):
            return []
        kinds = types.TAIL_KIND_LOG, types.TAIL_KIND_SCALARS
        return [
            types.ProducerTail(producer=each.producer, kind=kinds[0] if each.kind == LOG else kinds[1], end=each.end)
            for each in found
        ]

    async def stop(self, *, kill: bool) -> None:
        """Stop looking after the courier; with `kill`, end it too."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if kill and self._process is not None and not self._process.ended:
            self._process.kill()
            await self._process.end(self._clock)

    async def _keep_running(self, delay: float) -> None:
        await self._clock.sleep(delay)
        backoff = Backoff(self._ids)
        while not self._over():
            begun = self._clock.monotonic()
            # The courier's own failure to start is nothing else than its early end.
            with contextlib.suppress(OSError):
                self._process = Started(launch.start(self._spool, self._env))
                await self._process.end(self._clock)
            if self._over():
                return
            if self._clock.monotonic() - begun > _LIVED:
                backoff.reset()
            await self._clock.sleep(backoff.next())

    def _over(self) -> bool:
        acks = layout.read_acks(self._spool)
        return acks.done or bool(acks.error) or not self._spool.is_dir()
