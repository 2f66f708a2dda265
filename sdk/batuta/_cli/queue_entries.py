"""Queues and entries as people name them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batuta._cli.client import Client
    from batuta_proto.queues import v1 as queues


def queue(client: Client, name: str) -> queues.Queue:
    """The queue of that id, where it looks like one and is one; else of that name."""
    from batuta_proto.queues import v1 as queues
    from batuta_rpc.errors import QueueNotFound

    if re.fullmatch("[0-9a-f]{32}", name):
        try:
            return client.queues.GetQueue(queues.GetQueueRequest(queue_id=name)).queue
        except QueueNotFound:
            pass
    return client.queues.GetQueue(queues.GetQueueRequest(display_name=name)).queue


def paused(queue: queues.Queue) -> str:
    """`is paused since … by …`; empty of one that is not."""
    from batuta._cli import render

    if not queue.status.HasField("pause_time"):
        return ""
    return f"is paused since {render.moment(queue.status.pause_time)} by {queue.status.paused_by}"


def listed(client: Client, queue_id: str, limit: int | None = None, states: Sequence[str] = ()) -> list[queues.Entry]:
    """The entries of a queue that have not ended, or those in some states, next first."""
    from batuta._cli import pages
    from batuta_proto.queues import v1 as queues

    def fetch(page_size: int, page_token: str) -> tuple[list[queues.Entry], str]:
        request = queues.ListEntriesRequest(
            queue_id=queue_id, page_size=page_size, page_token=page_token, states=states
        )
        answer = client.queues.ListEntries(request)
        return list(answer.entries), answer.next_page_token

    return pages.gather(fetch, limit=limit)


def of_task(client: Client, task_id: str) -> queues.Entry | None:
    """The entry of a task that has not ended. Raises `TaskNotFound`."""
    from batuta_proto.tasks import v1 as tasks

    name = client.tasks.GetTask(tasks.GetTaskRequest(task_id=task_id)).task.status.queue_name
    found = listed(client, queue(client, name).id) if name else []
    return next((entry for entry in found if entry.task_id == task_id), None)


def entry_id(client: Client, name: str) -> str:
    """The entry of the task of that id; else it is taken for the id of an entry."""
    from batuta_rpc.errors import TaskNotFound

    try:
        found = of_task(client, name)
    except TaskNotFound:
        return name
    return name if found is None else found.id
