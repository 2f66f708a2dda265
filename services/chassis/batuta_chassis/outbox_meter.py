"""How much of the outbox has not arrived, and for how long."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from batuta_chassis.database import Database
from batuta_chassis.meters import Family, Looked, gauge
from batuta_chassis.outbox import OUTBOX
from batuta_rpc.clock import Clock


def outbox_meter(database: Database, clock: Clock) -> Looked:
    """Looks into the table, that of all processes of the service."""

    def count(connection: Connection) -> tuple[int, int | None]:
        rows = connection.execute(select(func.count(), func.min(OUTBOX.c.create_time)).select_from(OUTBOX)).one()
        return rows[0], rows[1]

    async def look() -> list[Family]:
        depth, oldest = await database.read(count)
        age = 0.0 if oldest is None else max(0.0, (clock.unix_millis() - oldest) / 1000)
        return [
            gauge("batuta_outbox_messages", "messages to other services on their way", depth),
            gauge("batuta_outbox_age_seconds", "age of the oldest of them", age),
        ]

    return Looked(look, clock)
