"""Writes refusals down without letting whoever is refused fill the disk.

The first refusal of a kind is written at once. Those that follow are counted in memory and added to it now and then, so
that a process that should be dead and calls all day costs one row and some writes an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from batuta_api.audit.store import Refused
from batuta_api.work import Work, Works
from batuta_rpc.clock import Clock
from batuta_rpc.errors import RpcError

PERIOD = 30.0
"""Seconds between two writes about the same refusal."""
_KINDS = 10_000
"""Kinds counted in memory at once; of more, only the first refusal of each period is written."""

Kind = tuple[str, int, str, str, str]


class Refusals:
    """Takes refusals. Background work writes what has been counted."""

    def __init__(self, works: Works, clock: Clock) -> None:
        self._works = works
        self._clock = clock
        self._counted: dict[Kind, Refused | None] = {}

    async def note(self, refused: Refused) -> None:
        """Keep a refusal."""
        kind = refused.kind
        if kind not in self._counted:
            if len(self._counted) < _KINDS:
                self._counted[kind] = None
            await self._works.write(lambda work: work.audit.add(refused))
            return
        before = self._counted[kind]
        self._counted[kind] = replace(refused, count=1 if before is None else before.count + 1)

    async def run(self) -> None:
        """Write what was counted, until cancelled; then once more."""
        try:
            while True:
                await self._clock.sleep(PERIOD)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Write what was counted since the last time. What cannot be written now is counted further."""
        counted, self._counted = self._counted, {}
        rows = [refused for refused in counted.values() if refused is not None]
        if not rows:
            return
        try:
            await self._works.write(lambda work: _add_all(work, rows))
        except RpcError:
            for refused in rows:
                newer = self._counted.get(refused.kind)
                count = refused.count + (newer.count if newer is not None else 0)
                self._counted[refused.kind] = replace(newer or refused, count=count)


def _add_all(work: Work, rows: Sequence[Refused]) -> None:
    for refused in rows:
        work.audit.add(refused)
