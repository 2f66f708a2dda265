"""What is kept of refusals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Refused:
    """Calls that were refused for whom they came from, or for which attempt they spoke: `count` of one kind.

    `time` and `message` are of the first; `last_time` is that of the newest when there were several.
    """

    time: datetime
    subject: str
    method: str
    reason: str
    task_id: str = ""
    attempt: int = 0
    message: str = ""
    count: int = 1
    last_time: datetime | None = None

    @property
    def kind(self) -> tuple[str, int, str, str, str]:
        """What makes it the same refusal again."""
        return (self.task_id, self.attempt, self.method, self.reason, self.subject)


class AuditStore(Protocol):
    """The refusals of one transaction."""

    def add(self, refused: Refused) -> None:
        """Keep one; of a kind that is known, add its count."""
        ...

    def page(self, subject: str, task_id: str, before: int | None, limit: int) -> list[tuple[int, Refused]]:
        """Those of a subject and about a task (empty: any) with an id below `before`, newest first, with their ids."""
        ...

    def purge(self, before: datetime, keep: int) -> int:
        """Drop those older than that, and all but the newest `keep`. How many went."""
        ...
