"""Refusals and changes in memory, for tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from batuta_api.audit.changes import Change, Sought
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

    def page(self, subject: str, task_id: str, before: int | None, limit: int) -> list[tuple[int, Refused]]:
        """Those of a subject and about a task (empty: any) with an id below `before`, newest first, with their ids."""
        numbered = [(at + 1, row) for at, row in enumerate(self._rows)]
        fitting = [
            (at, row)
            for at, row in reversed(numbered)
            if subject in ("", row.subject) and task_id in ("", row.task_id) and (before is None or at < before)
        ]
        return fitting[:limit]

    def purge(self, before: datetime, keep: int) -> int:
        """Drop those older than that, and all but the newest `keep`. How many went."""
        kept = [row for place, row in enumerate(self._rows) if row.time >= before and place >= len(self._rows) - keep]
        gone = len(self._rows) - len(kept)
        self._rows = kept
        return gone


class MemoryChangeStore:
    """`ChangeStore` in a list."""

    def __init__(self) -> None:
        self._rows: list[Change] = []

    def add(self, change: Change) -> None:
        """Write one down."""
        self._rows.append(replace(change, id=len(self._rows) + 1))

    def page(self, sought: Sought, before: int | None, limit: int) -> list[Change]:
        """Those sought with an id below `before`, newest first."""
        found = [row for row in reversed(self._rows) if _fits(row, sought) and (before is None or row.id < before)]
        return found[:limit]

    def purge(self, before: datetime, limit: int) -> int:
        """Drop some older than that. How many."""
        gone = {row.id for row in self._rows if row.time < before}
        self._rows = [row for row in self._rows if row.id not in gone]
        return len(gone)


def _fits(row: Change, sought: Sought) -> bool:
    return (
        sought.subject in ("", row.subject)
        and sought.resource_id in ("", row.resource_id)
        and (not sought.method or row.method == sought.method or row.method.endswith(f"/{sought.method}"))
        and (sought.start is None or row.time >= sought.start)
        and (sought.until is None or row.time < sought.until)
    )
