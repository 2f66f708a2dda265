"""A small API of ours for tests: a real gRPC server on a loopback port, everything in memory.

It keeps the rules that courier and SDK rely on: states, attempts and tails, sequences, offsets. Faults: `stop` and
`start` again on the same port, `answers_to_lose`, and `on_step`, which sees every call before and after it acts.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import grpc

from batuta_courier import process
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_rpc.clock import SystemClock
from batuta_rpc.config import Connection, save_connection
from batuta_rpc.error_status import DETAILS_KEY
from batuta_rpc.errors import OtherTask, RpcError, StaleAttempt, TaskNotFound, to_status

ACCESS_KEY, SECRET_KEY = "AK", "SK"
ASKED, STORED = "asked", "stored"
"""The two moments of a call: nothing has been done yet; everything has, and the answer is not given yet."""
Point = tuple[str, str, int, int, float]
"""(metric, variant, iteration, Unix ms, value)"""


@dataclass
class Run:
    """What one attempt of one task has sent."""

    open: bool = True
    tails: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    sequences: dict[str, int] = field(default_factory=dict[str, int])
    points: list[Point] = field(default_factory=list[Point])
    logs: dict[str, bytearray] = field(default_factory=dict[str, bytearray])


class FakeState:
    """All that the server knows. `changed` guards it and is notified at every change."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.tasks: dict[str, tasks.Task] = {}
        self.runs: dict[tuple[str, int], Run] = {}
        self.queues: dict[str, str] = {"default": "q-default", "services": "q-services"}
        self.calls: list[str] = []
        self.answers_to_lose = 0
        self.log_quota: int | None = None
        self.on_step: Callable[[str, str, str], None] = lambda call, moment, producer: None
        """Called with a call's name, ASKED or STORED, and its producer, if any. What it raises is the call's answer."""
        self.tokens: dict[str, tuple[str, int]] = {}

    def task(self, task_id: str) -> tasks.Task:
        """A task, to be changed under `changed`. Raises TaskNotFound."""
        found = self.tasks.get(task_id)
        if found is None:
            raise TaskNotFound(f"there is no task {task_id}", resource=("task", task_id))
        return found

    def run(self, task_id: str, attempt: int) -> Run:
        """What an attempt has sent so far."""
        return self.runs.setdefault((task_id, attempt), Run())

    def writable(self, task_id: str, attempt: int, producer: str, kind: int, end: int) -> Run:
        """The run, if data up to `end` is still taken of it. Raises StaleAttempt."""
        task = self.task(task_id)
        run = self.run(task_id, attempt)
        current = attempt == task.status.attempt and task.status.attempt_open and run.open
        if not current and end > run.tails.get((producer, kind), -1):
            raise StaleAttempt(f"attempt {attempt} of task {task_id} is closed")
        return run

    def close_attempt(self, task: tasks.Task, tails: Any) -> None:
        """End the open attempt, keeping its tails open."""
        run = self.run(task.id, task.status.attempt)
        run.open = False
        run.tails = {(tail.producer, tail.kind): tail.end for tail in tails}
        task.status.attempt_open = False

    def points(self, task_id: str) -> list[Point]:
        """Every point stored of a task, over all attempts."""
        with self.changed:
            return [point for (owner, _), run in self.runs.items() if owner == task_id for point in run.points]

    def log(self, task_id: str, producer: str = "console", attempt: int = 1) -> bytes:
        """What is stored of one log."""
        with self.changed:
            return bytes(self.run(task_id, attempt).logs.get(producer, b""))

    def wait_for(self, what: Any, seconds: float = 20.0) -> Any:
        """Wait until `what()` is true and return it. Raises AssertionError when the time is over."""
        with self.changed:
            assert self.changed.wait_for(what, seconds), f"not within {seconds:g} s"
            return what()

    def state(self, task_id: str) -> int:
        """The task's state."""
        return self.task(task_id).status.state

    def wait_for_state(self, task_id: str, state: tasks.TaskState, seconds: float = 20.0) -> tasks.Task:
        """Wait until the task is in that state and return it."""
        self.wait_for(lambda: self.state(task_id) == state, seconds)
        return self.task(task_id)

    def add_task(self, task_id: str, *, local: bool = True, attempt: int = 1) -> tasks.Task:
        """A task that runs."""
        task = tasks.Task(id=task_id, display_name=task_id)
        task.status.state = tasks.TASK_STATE_RUNNING
        task.status.attempt, task.status.attempt_open, task.status.local = attempt, True, local
        with self.changed:
            self.tasks[task_id] = task
        return task

    def caller(self, context: grpc.ServicerContext, task_id: str) -> str:
        """Who calls: `member`, or `attempt` for a run of that task. Raises OtherTask."""
        metadata = dict(context.invocation_metadata() or ())
        token = str(metadata.get("authorization", "")).replace("Bearer ", "")
        if token in self.tokens:
            if self.tokens[token][0] != task_id:
                raise OtherTask(f"this token is for task {self.tokens[token][0]}")
            return "attempt"
        return "member"


def refuse(context: grpc.ServicerContext, error: RpcError) -> NoReturn:
    """End the call with the status of `error`."""
    status = to_status(error)
    context.set_trailing_metadata(((DETAILS_KEY, status.SerializeToString()),))
    context.abort(error.code, status.message)
    raise AssertionError("abort raises")


class FakeApi:
    """The server. `address` is `127.0.0.1:port`, the same over stops and starts."""

    def __init__(self, *extra: Callable[[grpc.Server], None]) -> None:
        """`extra` add services of a test's own."""
        self.state = FakeState()
        self._extra = extra
        self._server: grpc.Server | None = None
        self.port = 0
        self.start()

    @property
    def address(self) -> str:
        """What clients dial."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve, on the old port if there was one."""
        from batuta_courier.testing_services import add_services

        # so_reuseport off: a port that somebody else took meanwhile must be an error, not shared.
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 16 * 1024 * 1024)]
        server = grpc.server(futures.ThreadPoolExecutor(64), options=options)
        add_services(server, self.state)
        for add in self._extra:
            add(server)
        self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
        server.start()
        self._server = server

    def stop(self) -> None:
        """Go away at once; what is stored stays."""
        if self._server is not None:
            with self.state.changed:
                self.state.changed.notify_all()
            assert self._server.stop(0).wait(30.0), "a handler of the fake API does not end"
        self._server = None

    def save_credentials(self, home: Path) -> None:
        """Write the file that SDK and courier find under that home."""
        save_connection(home / ".batuta" / "batuta.conf", Connection(self.address, ACCESS_KEY, SECRET_KEY))


@contextmanager
def fake_api(*extra: Callable[[grpc.Server], None]) -> Generator[FakeApi, None, None]:
    """A running FakeApi, stopped at the end. `extra` is `FakeApi`'s."""
    api = FakeApi(*extra)
    try:
        yield api
    finally:
        api.stop()


def end_couriers(folder: Path, seconds: float = 10.0) -> None:
    """Kill the couriers of all spools under `folder`, and wait until they are gone: their server no longer is.

    Needs /proc, and finds couriers that their script has left behind. Raises AssertionError when one does not go.
    """
    clock = SystemClock()
    until = clock.monotonic() + seconds
    while True:
        living = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _is_courier(pid, folder)]
        if not living:
            return
        assert clock.monotonic() < until, f"couriers {living} do not go"
        for pid in living:
            process.signal_if_alive(pid, 0, signal.SIGKILL)
        clock.sleep_blocking(0.005)


def _is_courier(pid: int, folder: Path) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return False
    ours = any("batuta_courier" in word for word in words) and any(word.startswith(f"{folder}/") for word in words)
    return ours and process.alive(pid, 0)


LOG, SCALARS = types.TAIL_KIND_LOG, types.TAIL_KIND_SCALARS
