"""What API and queue service must agree on: the place in the event log, and which entry each task has."""

from __future__ import annotations

from collections.abc import Iterator

from batuta_chassis.administered import Break, Known

CURSOR = ("cursor", "the API's place in the event log is one of the queue service's log")
ENTRIES = (
    "entries",
    "each task that is queued or runs has its live entry at the queue service, and no entry is without one",
)


def cursor(api: Known, queue: Known) -> Iterator[Break]:
    """Where the place is none of the log's."""
    here, log = api.place, queue.place
    if log is None:
        if here is not None:
            yield "event log", "the API has read it, and the queue service has none"
        return
    if here is None:
        if api.entries:
            yield "cursor", f"there is none, and {len(api.entries)} tasks wait for events"
        return
    if here.epoch != log.epoch:
        yield "cursor", f"it is of log {here.epoch}, and the queue service's is {log.epoch}: the API will begin anew"
    elif here.position > log.position:
        yield "cursor", f"position {here.position} lies beyond the end of the log, {log.position}"
    elif here.position < log.first - 1:
        yield "cursor", f"position {here.position} lies before {log.first}, the first event that is kept"


def entries(api: Known, queue: Known) -> Iterator[Break]:
    """Where one knows what the other does not, and nothing about it is on its way."""
    unsure = api.unsure | queue.unsure
    for entry_id, (task_id, attempt) in api.entries.items():
        if task_id in unsure or entry_id in unsure:
            continue
        told = queue.entries.get(entry_id)
        if told is None:
            yield task_id, f"its entry {entry_id} is not alive at the queue service"
        elif told[0] != task_id:
            yield task_id, f"its entry {entry_id} is that of task {told[0]} at the queue service"
        elif told[1] < attempt:
            yield task_id, f"it is in attempt {attempt}, and the queue service has given {told[1]} only"
    for entry_id, (task_id, _) in queue.entries.items():
        if entry_id not in api.entries and task_id not in unsure and entry_id not in unsure:
            yield entry_id, f"it is alive at the queue service, and task {task_id} has no such entry"
