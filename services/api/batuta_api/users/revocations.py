"""Keeps the gate of this process, and those of the services behind it, up to date with what was revoked anywhere.

The queue service never calls the API, so the API tells it: every broker by itself, all of it each time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import grpc.aio

from batuta_api.work import Works
from batuta_chassis.gate import Gate
from batuta_chassis.tokens import USER_TTL
from batuta_proto.system import v1 as system
from batuta_rpc.clock import Clock
from batuta_rpc.errors import RpcError

PERIOD = 15.0
"""Seconds between two looks: a quarter of the minute within which a token is dead."""
_KEPT = USER_TTL + timedelta(minutes=2)
"""How long a change matters: all tokens of before have ended then. The rest is for clocks that differ."""
_DEADLINE = 5.0
_log = logging.getLogger(__name__)


class Revocations:
    """Background work."""

    def __init__(self, works: Works, gate: Gate, behind: Sequence[grpc.aio.Channel], clock: Clock) -> None:
        """`behind` has a channel for each process of other services that is told."""
        self._works = works
        self._gate = gate
        self._behind = [system.SystemServiceStub(channel) for channel in behind]
        self._clock = clock
        self._seen: datetime | None = None

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            try:
                await self.look()
            except RpcError as error:
                _log.warning("cannot look for what was revoked: %s", error)
            await self._clock.sleep(PERIOD)

    async def look(self) -> None:
        """Tell the gate. It goes back before the last look that succeeded: open streams outlive their tokens."""
        now = self._clock.now()
        since = min(now, self._seen or now) - _KEPT
        keys, epochs = await self._works.read(
            lambda work: (work.users.revoked_since(since), work.people.fenced_since(since))
        )
        self._gate.replace(keys, epochs)
        self._seen = now
        told = system.ReplaceRevocationsRequest(
            access_keys=keys, epochs=[system.UserEpoch(user_name=name, epoch=epoch) for name, epoch in epochs.items()]
        )
        await asyncio.gather(*(_tell(stub, told) for stub in self._behind))


async def _tell(stub: system.SystemServiceAsyncStub, told: system.ReplaceRevocationsRequest) -> None:
    try:
        await stub.ReplaceRevocations(told, timeout=_DEADLINE)
    except RpcError as error:  # it hears of it at the next look, which also comes when it has just started
        _log.debug("a service was not told what was revoked: %s", error)
