"""What is kept of refusals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Refused:
    """A call that was refused for whom it came from, or for which attempt it spoke."""

    time: datetime
    subject: str
    method: str
    reason: str
    task_id: str = ""
    attempt: int = 0
    message: str = ""


class AuditStore(Protocol):
    """The refusals of one transaction; nobody changes them afterwards."""

    def add(self, refused: Refused) -> None:
        """Keep one."""
        ...

    def of_task(self, task_id: str, limit: int = 100) -> list[Refused]:
        """Those about one task, newest first."""
        ...

    def purge(self, before: datetime, keep: int) -> int:
        """Drop those older than that, and all but the newest `keep`. How many went."""
        ...
