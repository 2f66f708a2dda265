"""Artifacts whose time is over, uploads that nobody goes on with, and bytes that no row names any more."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from batuta_api.artifacts import removing
from batuta_api.artifacts.model import Address
from batuta_api.artifacts.receiving import ByteRoom
from batuta_api.work import Work, Works
from batuta_rpc.clock import Clock
from batuta_rpc.errors import RpcError

PERIOD = 15.0
AGAIN = timedelta(minutes=10)
"""After so long a store that did not remove bytes is asked again."""
_AT_ONCE = 100
_FILES_EVERY = 240
"""Rounds between two looks into the folder of unfinished uploads: an hour."""
_log = logging.getLogger(__name__)


class ArtifactSweep:
    """Background work."""

    def __init__(self, works: Works, room: ByteRoom, clock: Clock, upload_hours: int) -> None:
        self._works = works
        self._room = room
        self._clock = clock
        self._kept = timedelta(hours=upload_hours)

    async def run(self) -> None:
        """Go round until cancelled."""
        rounds = 0
        while True:
            await self.go_round(files=rounds % _FILES_EVERY == 0)
            rounds += 1
            await self._clock.sleep(PERIOD)

    async def go_round(self, files: bool = True) -> None:
        """Do all that is due now; with `files`, also look for files of uploads that are no longer known."""
        now = self._clock.now()
        while await self._works.read(lambda work: bool(work.artifacts.expired(now, 1))):
            await self._works.write(lambda work: _expire(work, now), bulk=1)
        idle = now - self._kept
        while await self._works.read(lambda work: bool(work.artifacts.idle_uploads(idle, 1))):
            for upload_id in await self._works.write(lambda work: _give_up(work, idle, now), bulk=1):
                await self._room.staging.discard(upload_id)
        while due := await self._works.read(lambda work: work.artifacts.due(now, _AT_ONCE)):
            for address in due:
                await self._remove(address, now)
        if files:
            await self._forget_files(now)

    async def _remove(self, address: Address, now: datetime) -> None:
        """Remove bytes, then what is known of them; a store that is away is asked again later."""
        try:
            store = self._room.places.at(address.store)
            await self._room.threads.run(lambda: store.remove(address.key))
        except RpcError as error:
            _log.warning("bytes of an artifact could not be removed, and will be tried again: %s", error)
            await self._works.write(lambda work: work.artifacts.discard(address, now + AGAIN), bulk=1)
        else:
            await self._works.write(lambda work: work.artifacts.discarded(address), bulk=1)

    async def _forget_files(self, now: datetime) -> None:
        names = await self._room.staging.untouched(now, self._kept)
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            known = await self._works.read(partial(_known, some=some))
            for name in some:
                if name not in known:
                    await self._room.staging.discard(name)


def _known(work: Work, some: Sequence[str]) -> set[str]:
    return work.artifacts.known_uploads(some)


def _expire(work: Work, now: datetime) -> None:
    for artifact in work.artifacts.expired(now, _AT_ONCE):
        removing.forget(work, artifact, now)


def _give_up(work: Work, idle: datetime, now: datetime) -> list[str]:
    """Ids of the uploads that went."""
    some = work.artifacts.idle_uploads(idle, _AT_ONCE)
    for upload in some:
        removing.give_up(work, upload, now)
    return [upload.id for upload in some]
