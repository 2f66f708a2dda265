"""Celery on Redis: `celery -A celery_app worker`. The job tells the driver when it began."""

from __future__ import annotations

import os

from celery import Celery
from stamp import send_stamp

app = Celery("peers", broker=os.environ["PEERS_REDIS"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True, worker_prefetch_multiplier=1)


@app.task
def job(number: int) -> None:
    """Begin."""
    send_stamp(number)


def enqueue(number: int) -> None:
    """Bring one job on its way."""
    job.delay(number)
