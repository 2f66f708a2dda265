"""Procrastinate on PostgreSQL: `procrastinate worker`. The job tells the driver when it began."""

from __future__ import annotations

import os

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector
from stamp import send_stamp

url = os.environ["PEERS_POSTGRES"]
app = App(connector=PsycopgConnector(conninfo=url))
sync_app = app.with_connector(SyncPsycopgConnector(conninfo=url))


@app.task(name="job")
def job(number: int) -> None:
    """Begin."""
    send_stamp(number)


def enqueue(number: int) -> None:
    """Bring one job on its way."""
    sync_app.configure_task("job").defer(number=number)


def prepare() -> None:
    """Open the connection that `enqueue` uses, and make the tables at the first time."""
    sync_app.open()
    if not sync_app.check_connection():
        sync_app.schema_manager.apply_schema()
