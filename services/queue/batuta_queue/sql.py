"""The queue service's store on SQL, over one connection in one transaction."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from batuta_chassis.requests import SqlRequests
from batuta_chassis.unit import after_commit
from batuta_queue.sql_agents import AgentRows
from batuta_queue.sql_attempts import AttemptRows
from batuta_queue.sql_entries import EntryRows
from batuta_queue.sql_events import EventRows
from batuta_queue.sql_history import HistoryRows
from batuta_queue.sql_newest import NewestRows
from batuta_queue.sql_queues import QueueRows
from batuta_queue.sql_share import ShareRows
from batuta_rpc.clock import Clock


class SqlStore(QueueRows, EntryRows, AttemptRows, AgentRows, EventRows, NewestRows, ShareRows, HistoryRows):
    """See `QueueStore`."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def find_request(self, caller: str, method: str, request_id: str) -> tuple[bytes, bytes] | None:
        """See `QueueStore.find_request`."""
        return SqlRequests(self._connection, self._clock).find_request(caller, method, request_id)

    def keep_request(self, caller: str, method: str, request_id: str, request_hash: bytes, response: bytes) -> None:
        """See `QueueStore.keep_request`."""
        SqlRequests(self._connection, self._clock).keep_request(caller, method, request_id, request_hash, response)

    def after_commit(self, hook: Callable[[], None]) -> None:
        """See `QueueStore.after_commit`."""
        after_commit(self._connection, hook)
