"""Attempts of tasks in SQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, func, insert, select, update

from batuta_api.schema import Moment, shown, stored, values
from batuta_api.tasks.attempts import Attempt
from batuta_api.tasks.model import Phase
from batuta_api.tasks.tables import task_attempts
from batuta_chassis.prepared import Prepared

_COLUMNS = tuple(Attempt.__dataclass_fields__)
_MOMENTS = tuple(column.name for column in task_attempts.c if isinstance(column.type, Moment))
_ONE = (task_attempts.c.task_id == bindparam("of_task"), task_attempts.c.number == bindparam("of_number"))
_GET = Prepared(select(*(task_attempts.c[name] for name in _COLUMNS)).where(*_ONE))
_ADD = Prepared(insert(task_attempts), ["task_id", *_COLUMNS])
_PUT = Prepared(update(task_attempts).where(*_ONE), [name for name in _COLUMNS if name != "number"])


class SqlAttemptStore:
    """`AttemptStore` over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, task_id: str, number: int) -> Attempt | None:
        """One attempt, or None."""
        row = _GET.row(self._connection, {"of_task": task_id, "of_number": number})
        return None if row is None else _attempt(row)

    def newest(self, task_id: str, limit: int, before: int = 0) -> list[Attempt]:
        """The newest attempts of a task; with `before`, those of lower numbers."""
        query = (
            select(*(task_attempts.c[name] for name in _COLUMNS))
            .where(task_attempts.c.task_id == task_id)
            .order_by(task_attempts.c.number.desc())
            .limit(limit)
        )
        if before:
            query = query.where(task_attempts.c.number < before)
        return [_loaded(values(row)) for row in self._connection.execute(query).mappings()]

    def put(self, task_id: str, attempt: Attempt) -> bool:
        """Keep an attempt, new or known. True when it is new."""
        fields = {name: getattr(attempt, name) for name in _COLUMNS}
        fields["phase"] = int(attempt.phase)
        for name in _MOMENTS:
            fields[name] = stored(fields[name])
        if _PUT.run(self._connection, {"of_task": task_id, "of_number": attempt.number, **fields}):
            return False
        _ADD.run(self._connection, {"task_id": task_id, **fields})
        return True

    def trim(self, task_id: str, keep: int) -> int:
        """Drop what is more than `keep`: offers that were given back first, then the oldest. How many went."""
        mine = task_attempts.c.task_id == task_id
        count = self._connection.execute(select(func.count()).select_from(task_attempts).where(mine)).scalar_one()
        if count <= keep:
            return 0
        given_back = case((task_attempts.c.phase == int(Phase.REJECTED), 0), else_=1)
        worst = (
            select(task_attempts.c.number)
            .where(mine)
            .order_by(given_back, task_attempts.c.number)
            .limit(count - keep)
            .scalar_subquery()
        )
        return self._connection.execute(delete(task_attempts).where(mine, task_attempts.c.number.in_(worst))).rowcount


def _attempt(row: tuple[Any, ...]) -> Attempt:
    """One attempt from a row as the driver gives it."""
    fields = dict(zip(_COLUMNS, row, strict=True))
    for name in _MOMENTS:
        fields[name] = shown(fields[name])
    return _loaded(fields)


def _loaded(fields: dict[str, Any]) -> Attempt:
    fields.update(phase=Phase(fields["phase"]), local=bool(fields["local"]))
    return Attempt(**fields)
