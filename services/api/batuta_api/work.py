"""One use case's work: the stores of all areas, bound to one transaction, so that what they do commits together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from batuta_api.artifacts.store import ArtifactStore
from batuta_api.audit.changes import ChangeStore
from batuta_api.audit.store import AuditStore
from batuta_api.limits import DEFAULTS, Limits
from batuta_api.logs.store import LogStore
from batuta_api.metrics.store import ScalarStore
from batuta_api.projects.store import MemberStore, ProjectStore
from batuta_api.tasks.store import AttemptStore, CursorStore, TaskStore
from batuta_api.users.people_store import PeopleStore
from batuta_api.users.store import UserStore
from batuta_chassis.requests import RequestStore
from batuta_chassis.transactions import BulkTransactor


class Posting(Protocol):
    """Takes messages for the queue service; they leave once the transaction is durable."""

    def add(self, topic: str, key: str, payload: bytes) -> None:
        """Post `payload`. Messages of one key arrive in order."""
        ...

    def pending(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys that have messages on their way."""
        ...


@dataclass(frozen=True)
class Work:
    """What a use case may touch. `announce` wakes a topic of the hub once all of it is durable."""

    projects: ProjectStore
    members: MemberStore
    tasks: TaskStore
    attempts: AttemptStore
    cursor: CursorStore
    scalars: ScalarStore
    logs: LogStore
    artifacts: ArtifactStore
    people: PeopleStore
    users: UserStore
    audit: AuditStore
    changes: ChangeStore
    outbox: Posting
    requests: RequestStore
    announce: Callable[[str], None]
    limits: Limits = DEFAULTS


Works = BulkTransactor[Work]
"""Runs use cases over `Work`."""
