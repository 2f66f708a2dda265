"""The queue's event log as it is written: when each attempt reached each phase."""

from __future__ import annotations

import threading
from types import TracebackType

import grpc

from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types


class EventLog:
    """Follows `WatchAttempts` in a thread of its own."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._call = queues.QueueServiceStub(channel).WatchAttempts(queues.WatchAttemptsRequest())
        self._times: dict[str, dict[int, int]] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._follow, name="event log", daemon=True)

    def __enter__(self) -> EventLog:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._call.cancel()
        self._thread.join(5)

    def times(self, task_id: str) -> dict[int, int]:
        """By phase, when the task's attempt reached it: wall nanoseconds, by the clock of who saw it."""
        return dict(self._times.get(task_id, {}))

    def ended(self, task_id: str) -> bool:
        """Whether the task's attempt has reached its end."""
        return any(phase >= types.ATTEMPT_PHASE_SUCCEEDED for phase in self._times.get(task_id, {}))

    def _follow(self) -> None:
        try:
            for response in self._call:
                for event in response.events:
                    self._times.setdefault(event.task_id, {})[event.phase] = event.event_time.ToNanoseconds()
        except Exception:
            if not self._closing:
                raise
