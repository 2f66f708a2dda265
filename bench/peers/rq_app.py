"""RQ on Redis: `rq worker --worker-class rq.SimpleWorker`. The job tells the driver when it began."""

from __future__ import annotations

import os

from redis import Redis
from rq import Queue
from stamp import send_stamp

queue = Queue("peers", connection=Redis.from_url(os.environ["PEERS_REDIS"]))


def enqueue(number: int) -> None:
    """Bring one job on its way."""
    queue.enqueue(send_stamp, number, result_ttl=0)
