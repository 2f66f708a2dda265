"""Refusals in memory, for tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from batuta_api.audit.store import Refused


class MemoryAuditStore:
    """`AuditStore` in a list."""

    def __init__(self) -> None:
        self._rows: list[Refused] = []

    def add(self, refused: Refused) -> None:
        """Keep one; of a kind that is known, add its count."""
        for place, known in enumerate(self._rows):
            if known.kind == refused.kind:
                self._rows[place] = replace(known, count=known.count + refused.count, last_time=refused.time)
                return
        self._rows.append(refused)

    def of_task(self, task_id: str, limit: int = 100) -> list[Refused]:
        """Those about one task, newest first."""
        return [row for row in reversed(self._rows) if row.task_id == task_id][:limit]

    def purge(self, before: datetime, keep: int) -> int:
        """Drop those older than that, and all but the newest `keep`. How many went."""
        kept = [row for place, row in enumerate(self._rows) if row.time >= before and place >= len(self._rows) - keep]
        gone = len(self._rows) - len(kept)
        self._rows = kept
        return gone
