"""The trail of changes: who, when, what, from where. Rows are only added, in the transaction of the change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

KEPT_AT_LEAST = timedelta(days=30)
"""The database itself refuses to delete a younger row."""


@dataclass(frozen=True)
class Change:
    """One change. `id` is given when it is stored."""

    time: datetime
    subject: str
    access_key: str
    peer: str
    client: str
    method: str
    resource_type: str
    resource_id: str
    request: str
    request_id: str
    outcome: str = ""
    id: int = 0


@dataclass(frozen=True)
class Sought:
    """Which changes; empty parts are any. `method` is a full name or its last part."""

    subject: str = ""
    method: str = ""
    resource_id: str = ""
    start: datetime | None = None
    until: datetime | None = None


class ChangeStore(Protocol):
    """The trail within one transaction."""

    def add(self, change: Change) -> None:
        """Write one down."""
        ...

    def page(self, sought: Sought, before: int | None, limit: int) -> list[Change]:
        """Those sought with an id below `before`, newest first."""
        ...

    def purge(self, before: datetime, limit: int) -> int:
        """Drop some older than that, but none younger than `KEPT_AT_LEAST` by the database's own clock. How many."""
        ...
