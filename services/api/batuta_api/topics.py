"""The names of what one may wait for, and of what the outbox carries."""

from __future__ import annotations

CLOSING = "closing"
"""The process goes down."""
SUBMIT = "entries.submit"
"""Outbox: a serialized SubmitEntryRequest."""
WITHDRAW = "entries.withdraw"
"""Outbox: a serialized WithdrawEntryRequest."""


QUEUES = "queues"
"""Some queue may have another name by now, or be gone."""
TASKS = "tasks"
"""Some task changed, whichever."""
_TASK = "task:"


def of_tasks(topic: str) -> bool:
    """Whether a topic is that of one task's status."""
    return topic.startswith(_TASK)


def task(task_id: str) -> str:
    """The task's status changed."""
    return f"{_TASK}{task_id}"


def log(task_id: str) -> str:
    """The task's log grew."""
    return f"log:{task_id}"


def scalars(task_id: str) -> str:
    """The task's scalars grew."""
    return f"scalars:{task_id}"
