"""A server through gRPC, as tests look at it."""

from __future__ import annotations

from collections.abc import Collection

from batuta_proto.agents import v1 as agents
from batuta_proto.logs import v1 as logs
from batuta_proto.metrics import v1 as metrics
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.auth import CredentialTokens
from batuta_rpc.channel import open_sync
from batuta_rpc.clock import SystemClock
from batuta_rpc.config import Connection
from batuta_rpc.errors import DeadlineExceeded, RpcError, Unavailable
from batuta_rpc.ids import SystemIds
from batuta_rpc.version import VERSION
from tests.e2e.harness.processes import poll

ENDED = (tasks.TASK_STATE_COMPLETED, tasks.TASK_STATE_FAILED, tasks.TASK_STATE_ABORTED)
SDK = f"batuta=={VERSION}"


class Remote:
    """Makes tasks, waits for states, reads what came back."""

    def __init__(self, connection: Connection) -> None:
        keys = connection.access_key, connection.secret_key
        tokens = CredentialTokens(connection.api, *keys, SystemClock(), trust=connection.trust)
        self.channel = open_sync(connection.api, tokens, "e2e", trust=connection.trust)
        self._ids = SystemIds()
        self.tasks = tasks.TaskServiceStub(self.channel)
        self.logs = logs.LogServiceStub(self.channel)
        self.metrics = metrics.MetricServiceStub(self.channel)
        self.queues = queues.QueueServiceStub(self.channel)
        self.agents = agents.AgentServiceStub(self.channel)

    def close(self) -> None:
        """End the connection."""
        self.channel.close()

    def create(self, script: str, name: str, requirements: Collection[str] = ()) -> str:
        """Make a draft that runs `script`; its id."""
        spec = tasks.TaskSpec(
            source=tasks.Source(script=script, entry_point="payload.py"),
            environment=tasks.Environment(requirements=requirements),
        )
        request = tasks.CreateTaskRequest(
            project_name="e2e", display_name=name, spec=spec, request_id=self._ids.request_id()
        )
        return self.tasks.CreateTask(request).task.id

    def enqueue(self, task_id: str, queue: str = "default") -> str:
        """Put a task into a queue, made when missing; its id."""
        request = tasks.EnqueueTaskRequest(
            task_id=task_id, queue_name=queue, create_queue=True, request_id=self._ids.request_id()
        )
        self.tasks.EnqueueTask(request)
        return task_id

    def submit(self, script: str, name: str, queue: str = "default", requirements: Collection[str] = ()) -> str:
        """Make a task and put it into a queue; its id."""
        return self.enqueue(self.create(script, name, requirements), queue)

    def get(self, task_id: str) -> tasks.Task:
        """One task."""
        return self.tasks.GetTask(tasks.GetTaskRequest(task_id=task_id)).task

    def wait(self, task_id: str, states: Collection[int] = ENDED, seconds: float = 90) -> tasks.Task:
        """The task once it is in one of `states`; goes on across restarts of the server. Fails the test in time."""
        last: list[tasks.Task] = []

        def watch() -> tasks.Task | None:
            try:
                for answer in self.tasks.WatchTask(tasks.WatchTaskRequest(task_id=task_id), timeout=seconds):
                    last[:] = [answer.task]
                    if answer.task.status.state in states:
                        return answer.task
            except (DeadlineExceeded, Unavailable):
                return None
            except RpcError as error:
                if error.code.name not in ("CANCELLED", "INTERNAL", "UNKNOWN"):
                    raise
            return None

        wanted = ", ".join(tasks.TaskState.Name(state)[11:] for state in states)
        try:
            return poll(f"task {task_id} is {wanted}", seconds, watch)
        except AssertionError as error:
            raise AssertionError(
                f"{error}; it is\n{last[0].status if last else 'not seen'}\n{self.log_tail(task_id)}"
            ) from None

    def log(self, task_id: str, producer: str = "") -> bytes:
        """The task's whole log, or that of one producer."""
        parts: list[bytes] = []
        for answer in self.logs.ReadLog(logs.ReadLogRequest(task_id=task_id), timeout=60):
            parts += [chunk.data for chunk in answer.chunks if producer in ("", chunk.producer)]
        return b"".join(parts)

    def log_tail(self, task_id: str) -> str:
        """The log's end, for people."""
        try:
            return self.log(task_id).decode(errors="replace")[-3000:]
        except RpcError as error:
            return f"(no log: {error.message})"

    def points(self, task_id: str) -> dict[tuple[str, str], list[tuple[int, float]]]:
        """(iteration, value) of every point, by (metric, variant), in the order in which they were stored."""
        found: dict[tuple[str, str], list[tuple[int, float]]] = {}
        for answer in self.metrics.ReadScalars(metrics.ReadScalarsRequest(task_id=task_id), timeout=60):
            for column in answer.columns:
                series = found.setdefault((column.metric, column.variant), [])
                series += zip(column.iterations, column.values, strict=True)
        return found

    def online(self, *names: str, seconds: float = 30) -> None:
        """Wait until these agents are online."""

        def look() -> bool:
            answer = self.agents.ListAgents(agents.ListAgentsRequest())
            there = {agent.id for agent in answer.agents if agent.state == agents.AGENT_STATE_ONLINE}
            return there.issuperset(names)

        poll(f"agents {', '.join(names)} are online", seconds, look)
