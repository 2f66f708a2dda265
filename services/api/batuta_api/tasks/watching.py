"""Following one task."""

from __future__ import annotations

from collections.abc import AsyncIterator

from batuta_api import topics
from batuta_api.calls import Calls
from batuta_api.closing import Closing
from batuta_api.tasks import admission
from batuta_api.tasks.model import Task
from batuta_chassis.hub import Hub

_LOOK_AGAIN = 15.0
"""Seconds after which one looks without having been woken: a lost wake-up costs time, never the truth."""


async def watch(calls: Calls, hub: Hub, closing: Closing, task_id: str) -> AsyncIterator[Task]:
    """The task as it is, then at every change; changes that come faster than the reader are merged.

    Raises `OtherTask`, `TaskNotFound`, `ShuttingDown`.
    """
    async with hub.subscribe(topics.task(task_id), topics.CLOSING) as changes:
        shown: Task | None = None
        while True:
            closing.check()
            task = await calls.ask("WatchTask", lambda work, caller: admission.find(work, caller, task_id))
            if task != shown:
                yield task
                shown = task
            await changes.wait(_LOOK_AGAIN)
