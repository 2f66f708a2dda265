"""Changes of a queue's entries that people ask for through us: the queue knows no projects, so we look who may."""

from __future__ import annotations

import grpc.aio
from google.protobuf.message import Message

from batuta_api.projects.closed import EVERYTHING, access_of
from batuta_api.tasks import admission, entries
from batuta_api.work import Work, Works
from batuta_chassis.caller import current_caller
from batuta_proto.queues import v1 as queues
from batuta_rpc.errors import EntryNotFound, TaskNotFound

_DEADLINE = 10.0


class Passage:
    """Lets a request pass that names no entry, or one whose task its caller may change."""

    def __init__(self, works: Works, queue: grpc.aio.Channel) -> None:
        self._works = works
        self._queue = queues.QueueServiceStub(queue)

    async def check(self, request: Message) -> None:
        """Raises `EntryNotFound` where the task is in a project that is closed to the caller, `RoleMissing` where the
        caller only reads in it, and what the queue service raises."""
        entry_id, caller = str(getattr(request, "entry_id", "")), current_caller()
        if not entry_id or await self._works.read(lambda work: access_of(work, caller) is EVERYTHING):
            return
        answer = await self._queue.BatchGetEntries(entries.asked([entry_id]), timeout=_DEADLINE)
        task_ids = [event.task_id for event in answer.events if event.task_id]

        def find(work: Work) -> None:
            for task_id in task_ids:
                if work.tasks.get(task_id) is not None:
                    admission.find(work, caller, task_id)

        try:
            await self._works.read(find)
        except TaskNotFound:
            raise EntryNotFound(
                f"there is no entry {entry_id!r}; `batuta queue show NAME` lists those of a queue", entry_id=entry_id
            ) from None
