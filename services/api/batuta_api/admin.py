"""What must hold in the API's tables, what may go from them, and what it knows of entries: for `batuta admin`."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, func, select

from batuta_api import invariants
from batuta_api.audit.tables import audit
from batuta_api.housekeeping import AUDIT_KEPT
from batuta_api.logs.tables import log_chunks, log_streams, log_tasks
from batuta_api.metrics.tables import scalar_chunks, scalar_producers, scalar_series, scalar_tasks
from batuta_api.schema import stored
from batuta_api.tasks import upkeep
from batuta_api.tasks.cursors import SqlCursorStore
from batuta_api.tasks.model import TaskState
from batuta_api.tasks.tables import tasks
from batuta_api.users.credentials import JOIN_TOKENS_KEPT
from batuta_api.wiring import METADATA, sql_work
from batuta_chassis.administered import Administered, Chore, Known, Moment, Place, rows_gone
from batuta_chassis.hub import Hub
from batuta_chassis.outbox import OUTBOX

_ALIVE = (int(TaskState.QUEUED), int(TaskState.RUNNING), int(TaskState.STOPPING))
_LEFT_OVER = (scalar_chunks, scalar_series, scalar_producers, scalar_tasks, log_chunks, log_streams, log_tasks)


def _due(connection: Connection, moment: Moment) -> int:
    return int(connection.execute(select(func.count()).where(tasks.c.purge_time <= moment.now)).scalar_one())


def _purge(connection: Connection, moment: Moment) -> int:
    work = sql_work(Hub(moment.clock), moment.clock, moment.limits)(connection)
    return upkeep.purge(work, moment.now)


def _old_refusals(connection: Connection, moment: Moment) -> int:
    before = moment.now - AUDIT_KEPT
    return int(connection.execute(select(func.count()).where(audit.c.time < before)).scalar_one())


def _purge_refusals(connection: Connection, moment: Moment) -> int:
    work = sql_work(Hub(moment.clock), moment.clock, moment.limits)(connection)
    return work.audit.purge(moment.now - AUDIT_KEPT, moment.limits.refusals)


def _chores() -> tuple[Chore, ...]:
    return (
        Chore("deleted tasks", "tasks whose purge_time is over, with logs, scalars and attempts", _due, _purge),
        rows_gone(
            "requests",
            "answers to request_ids older than request_hours",
            "requests",
            "create_time < :before",
            lambda moment: {"before": moment.millis - moment.limits.request_hours * 3_600_000},
        ),
        rows_gone(
            "join tokens",
            "join tokens whose time has long been over",
            "join_tokens",
            "expire_time < :now",
            lambda moment: {"now": stored(moment.now - JOIN_TOKENS_KEPT)},
        ),
        Chore("refusals", "refused calls older than 90 days, or beyond the limit", _old_refusals, _purge_refusals),
        *(
            rows_gone(
                f"left in {table.name}",
                "rows of tasks that are gone",
                table.name,
                "task_id NOT IN (SELECT id FROM tasks)",
                lambda _moment: {},
            )
            for table in _LEFT_OVER
        ),
    )


def _know(connection: Connection, _applied: int) -> Known:
    cursor = SqlCursorStore(connection).get()
    columns = (tasks.c.id, tasks.c.entry_id, tasks.c.attempt)
    alive = select(*columns).where(tasks.c.state.in_(_ALIVE), tasks.c.entry_id != "")
    return Known(
        place=None if cursor is None else Place(cursor.log_epoch, 0, cursor.position),
        entries={row.entry_id: (row.id, row.attempt) for row in connection.execute(alive)},
        unsure=frozenset(connection.execute(select(OUTBOX.c.ordering_key).distinct()).scalars()),
    )


ADMIN = Administered(
    service="api",
    metadata=METADATA,
    migrations=Path(__file__).parent / "migrations",
    invariants=invariants.INVARIANTS,
    chores=_chores(),
    know=_know,
)
