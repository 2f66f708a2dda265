"""Follows a local run's task: when somebody aborts it, the script is asked to stop, then told, then killed."""

from __future__ import annotations

import signal
import threading
from typing import Any

from batuta_courier import layout, process, troubles
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.backoff import Backoff
from batuta_rpc.clock import Clock
from batuta_rpc.errors import RpcError
from batuta_rpc.ids import Ids

STEPS = ((0.0, signal.SIGINT), (10.0, signal.SIGTERM), (30.0, signal.SIGKILL))
"""Seconds after the abort, and what the script then gets."""


class AbortWatch:
    """Runs in a daemon thread until `stop`. `aborted` is set once the task is to stop."""

    def __init__(self, run: layout.RunInfo, stub: tasks.TaskServiceStub, clock: Clock, ids: Ids) -> None:
        self.aborted = threading.Event()
        self._run = run
        self._stub = stub
        self._clock = clock
        self._backoff = Backoff(ids)
        self._stop = threading.Event()
        self._call: Any = None
        self._since = 0.0
        self._steps = list(STEPS)

    def run(self) -> None:
        """Watch until `stop`, the task's end, or an error that does not pass."""
        while not self._stop.is_set() and not self.aborted.is_set():
            asked = None
            try:
                self._follow()
            except RpcError as error:
                if not troubles.passes(error):
                    return
                asked = error.retry_delay
            self._stop.wait(self._backoff.next(asked))

    def stop(self) -> None:
        """Make `run` return. From any thread."""
        self._stop.set()
        if self._call is not None:
            self._call.cancel()

    def drive(self) -> None:
        """Give the script the next signal when it is due. Called again and again while the script lives."""
        waited = self._clock.monotonic() - self._since
        while self._steps and waited >= self._steps[0][0]:
            _, number = self._steps.pop(0)
            process.signal_if_alive(self._run.script_pid, self._run.script_start_time, number)

    def _follow(self) -> None:
        self._call = self._stub.WatchTask(tasks.WatchTaskRequest(task_id=self._run.task_id))
        for response in self._call:
            self._backoff.reset()
            status = response.task.status
            if status.attempt == self._run.attempt and status.state in (
                tasks.TASK_STATE_STOPPING,
                tasks.TASK_STATE_ABORTED,
            ):
                self._since = self._clock.monotonic()
                self.aborted.set()
            if self._stop.is_set() or self.aborted.is_set():
                self._call.cancel()
                return
