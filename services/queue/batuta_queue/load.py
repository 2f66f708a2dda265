"""How full each queue is, counted in memory, so that a queue has an end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from batuta_queue.model import Queue, QueueCounts
from batuta_queue.numbers import Numbers
from batuta_queue.transitions import Step
from batuta_rpc.errors import QueueFull


class Load:
    """Entries of each queue that have not ended."""

    def __init__(self, numbers: Numbers) -> None:
        self._limit = numbers.max_queue_entries
        self._live: dict[str, int] = {}

    def start(self, counts: Mapping[str, QueueCounts]) -> None:
        """Begin with what is stored."""
        live = {queue_id: each.waiting + each.running for queue_id, each in counts.items()}
        self._live = dict.fromkeys(self._live, 0) | live

    def counts(self) -> Mapping[str, int]:
        """Entries of each queue that have not ended. Not to be changed."""
        return self._live

    def known(self) -> list[str]:
        """The queues that are counted."""
        return list(self._live)

    def follow(self, steps: Iterable[Step]) -> None:
        """Count committed steps."""
        for step in steps:
            if not step.entry.queue_id:
                continue  # its queue was deleted while it ran
            if step.new_entry:
                self._live[step.entry.queue_id] = self._live.get(step.entry.queue_id, 0) + 1
            elif step.left_queue:
                self._live[step.left_queue] = self._live.get(step.left_queue, 0) - 1
                self._live[step.entry.queue_id] = self._live.get(step.entry.queue_id, 0) + 1
            elif step.entry_changed and step.entry.state.ended:
                self._live[step.entry.queue_id] = self._live.get(step.entry.queue_id, 0) - 1

    def forget(self, queue_id: str) -> None:
        """The queue is gone."""
        self._live.pop(queue_id, None)

    def admit(self, queue: Queue) -> None:
        """Raises `QueueFull`."""
        if self._live.get(queue.id, 0) >= self._limit:
            raise QueueFull(
                f"queue {queue.name!r} holds {self._limit} entries, as many as it may; try again when some have ended",
                resource=("queue", queue.id),
                display_name=queue.name,
                limit=self._limit,
            )
