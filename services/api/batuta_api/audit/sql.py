"""Refusals in SQL."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from batuta_api.audit.store import Refused
from batuta_api.audit.tables import audit
from batuta_api.schema import values


class SqlAuditStore:
    """`AuditStore` over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, refused: Refused) -> None:
        """Keep one; of a kind that is known, add its count."""
        same = (
            audit.c.task_id == refused.task_id,
            audit.c.attempt == refused.attempt,
            audit.c.method == refused.method,
            audit.c.reason == refused.reason,
            audit.c.subject == refused.subject,
        )
        more = update(audit).where(*same).values(count=audit.c.count + refused.count, last_time=refused.time)
        if not self._connection.execute(more).rowcount:
            self._connection.execute(insert(audit), asdict(refused))

    def page(self, subject: str, task_id: str, before: int | None, limit: int) -> list[tuple[int, Refused]]:
        """Those of a subject and about a task (empty: any) with an id below `before`, newest first, with their ids."""
        query = select(audit).order_by(audit.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(audit.c.id < before)
        if subject:
            query = query.where(audit.c.subject == subject)
        if task_id:
            query = query.where(audit.c.task_id == task_id)
        rows = [values(row) for row in self._connection.execute(query).mappings()]
        return [(int(row.pop("id")), Refused(**row)) for row in rows]

    def purge(self, before: datetime, keep: int) -> int:
        """Drop those older than that, and all but the newest `keep`. How many went."""
        newest = self._connection.execute(select(func.max(audit.c.id))).scalar_one()
        old = (audit.c.time < before) | (audit.c.id <= (newest or 0) - keep)
        return self._connection.execute(delete(audit).where(old)).rowcount
