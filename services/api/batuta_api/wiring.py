"""The SQL behind `Work`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from batuta_api import topics
from batuta_api.artifacts.sql import SqlArtifactStore
from batuta_api.audit.changes_sql import SqlChangeStore
from batuta_api.audit.sql import SqlAuditStore
from batuta_api.limits import DEFAULTS, Limits
from batuta_api.logs.sql import SqlLogStore
from batuta_api.metrics.sql import SqlScalarStore
from batuta_api.projects.members_sql import SqlMemberStore
from batuta_api.projects.sql import SqlProjectStore
from batuta_api.schema import metadata
from batuta_api.tasks.attempts_sql import SqlAttemptStore
from batuta_api.tasks.cursors import SqlCursorStore
from batuta_api.tasks.sql import SqlTaskStore
from batuta_api.users.people_sql import SqlPeopleStore
from batuta_api.users.sql import SqlUserStore
from batuta_api.work import Work
from batuta_chassis.hub import Hub
from batuta_chassis.members import members_table
from batuta_chassis.outbox import Outbox, outbox_table
from batuta_chassis.requests import SqlRequests, requests_table
from batuta_chassis.unit import after_commit
from batuta_rpc.clock import Clock

outbox_table(metadata)
members_table(metadata)
requests_table(metadata)
METADATA = metadata
"""All tables of the service."""


class _SqlOutbox:
    """`Posting` over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, topic: str, key: str, payload: bytes) -> None:
        """Post `payload`."""
        Outbox.add(self._connection, topic, key, payload)

    def pending(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys that have messages on their way."""
        return Outbox.pending(self._connection, keys)


def _publish(hub: Hub, topic: str) -> None:
    hub.publish(topic)
    if topics.of_tasks(topic):
        hub.publish(topics.TASKS)


def sql_work(hub: Hub, clock: Clock, limits: Limits = DEFAULTS) -> Callable[[Connection], Work]:
    """What makes the work of one transaction."""

    def make(connection: Connection) -> Work:
        return Work(
            projects=SqlProjectStore(connection),
            members=SqlMemberStore(connection),
            tasks=SqlTaskStore(connection),
            attempts=SqlAttemptStore(connection),
            cursor=SqlCursorStore(connection),
            scalars=SqlScalarStore(connection),
            logs=SqlLogStore(connection),
            artifacts=SqlArtifactStore(connection),
            people=SqlPeopleStore(connection),
            users=SqlUserStore(connection),
            audit=SqlAuditStore(connection),
            changes=SqlChangeStore(connection),
            outbox=_SqlOutbox(connection),
            requests=SqlRequests(connection, clock),
            announce=lambda topic: after_commit(connection, lambda: _publish(hub, topic)),
            limits=limits,
        )

    return make
