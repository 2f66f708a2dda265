"""Procrastinate on PostgreSQL: `procrastinate worker`. The job tells the driver when it began."""

from __future__ import annotations

import os

from procrastinate import App, PsycopgConnector
from stamp import send_stamp

app = App(connector=PsycopgConnector(conninfo=os.environ["PEERS_POSTGRES"]))


@app.task(name="job")
def job(number: int) -> None:
    """Begin."""
    send_stamp(number)


def enqueue(number: int) -> None:
    """Bring one job on its way."""
    job.defer(number=number)


def prepare() -> None:
    """Open the connection that `enqueue` uses, and make the tables."""
    app.open()
    app.schema_manager.apply_schema()
