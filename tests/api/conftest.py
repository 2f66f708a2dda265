"""A whole API service on a loopback port, with a queue service of ours behind it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from batuta_api import __main__ as main
from batuta_api.__main__ import build
from batuta_api.audit.sql import SqlAuditStore
from batuta_api.audit.store import Refused
from batuta_api.testing import RunningQueue, memory_work
from batuta_api.wiring import METADATA, sql_work
from batuta_api.work import Work, Works
from batuta_chassis.database import Database, sqlite_url
from batuta_chassis.hub import Hub
from batuta_chassis.migrations import migrate
from batuta_chassis.testing import MemoryTransactor, Running, running
from batuta_chassis.transactions import SqlTransactor
from batuta_proto.artifacts import v1 as artifacts
from batuta_proto.audit import v1 as audit
from batuta_proto.logs import v1 as logs
from batuta_proto.metrics import v1 as metrics
from batuta_proto.projects import v1 as projects
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.users import v1 as users
from batuta_rpc.clock import SystemClock, within
from batuta_rpc.errors import RpcError
from batuta_rpc.ids import SystemIds
from batuta_rpc.testing import FakeClock


@dataclass
class Stubs:
    """All services of the API over one channel, and what tests do most."""

    tasks: Any
    projects: Any
    metrics: Any
    logs: Any
    artifacts: Any
    users: Any
    queues: Any
    audit: Any

    @classmethod
    def on(cls, channel: Any) -> Stubs:
        """Stubs over a channel."""
        return cls(
            tasks.TaskServiceStub(channel),
            projects.ProjectServiceStub(channel),
            metrics.MetricServiceStub(channel),
            logs.LogServiceStub(channel),
            artifacts.ArtifactServiceStub(channel),
            users.UserServiceStub(channel),
            queues.QueueServiceStub(channel),
            audit.AuditServiceStub(channel),
        )

    async def draft(self, name: str = "digits", project: str = "vision", **spec: Any) -> tasks.Task:
        """Make a draft."""
        request = tasks.CreateTaskRequest(project_name=project, display_name=name, spec=tasks.TaskSpec(**spec))
        return (await self.tasks.CreateTask(request)).task

    async def get(self, task_id: str) -> tasks.Task:
        """One task."""
        return (await self.tasks.GetTask(tasks.GetTaskRequest(task_id=task_id))).task

    async def started(self, **spec: Any) -> tasks.Task:
        """A task that runs locally."""
        made = await self.draft(**spec)
        return (await self.tasks.StartTask(tasks.StartTaskRequest(task_id=made.id, host="laptop"))).task

    async def queued(self, **spec: Any) -> tuple[tasks.Task, str]:
        """A queued task and its entry."""
        made = await self.draft(**spec)
        answer = await self.tasks.EnqueueTask(tasks.EnqueueTaskRequest(task_id=made.id, queue_name="default"))
        return answer.task, answer.entry_id

    async def write_log(
        self, task_id: str, attempt: int, data: bytes, offset: int = 0, producer: str = "console"
    ) -> int:
        """Append one chunk to a log; what is stored then."""
        first = logs.AppendLogRequest(task_id=task_id, attempt=attempt, producer=producer, offset=offset, data=data)
        answers = await collect(self.logs.AppendLog(several(first)))
        return int(answers[-1].committed_offset)

    async def upload(self, data: bytes, **begin: Any) -> artifacts.Artifact:
        """Upload one artifact in one stream; unless said otherwise by a new upload, by hand."""
        fields = {"upload_id": SystemIds().new_id(), "name": "model", **begin}
        pieces = [chunk(0, data)] if data else []
        answers = await self.talk(begun(**fields), *pieces, finish(data))
        return answers[-1].artifact

    async def talk(self, *messages: artifacts.UploadArtifactRequest) -> list[artifacts.UploadArtifactResponse]:
        """A whole stream of an upload: what the server answers, or raises."""
        return await soon(rest_of(self.artifacts.UploadArtifact(), *messages))

    async def download(self, artifact_id: str, **span: int) -> bytes:
        """The bytes of an artifact, or some of them."""
        asked = artifacts.ReadArtifactRequest(artifact_id=artifact_id, **span)
        return b"".join(answer.data for answer in await collect(self.artifacts.ReadArtifact(asked)))

    async def until(self, task_id: str, condition: Callable[[tasks.Task], bool]) -> tasks.Task:
        """Watch a task until it is as wanted."""
        stream = self.tasks.WatchTask(tasks.WatchTaskRequest(task_id=task_id))

        async def look() -> tasks.Task:
            async for answer in stream:
                if condition(answer.task):
                    return answer.task
            raise AssertionError("the stream ended")

        try:
            return await soon(look())
        finally:
            stream.cancel()

    async def until_state(self, task_id: str, state: int) -> tasks.Task:
        """Watch a task until it is in that state."""
        return await self.until(task_id, lambda task: task.status.state == state)


def begun(**fields: Any) -> artifacts.UploadArtifactRequest:
    """The first message of an upload."""
    return artifacts.UploadArtifactRequest(begin=artifacts.UploadBegin(**fields))


def chunk(offset: int, data: bytes) -> artifacts.UploadArtifactRequest:
    """Some bytes of an upload."""
    return artifacts.UploadArtifactRequest(chunk=artifacts.UploadChunk(offset=offset, data=data))


def finish(data: bytes) -> artifacts.UploadArtifactRequest:
    """The last message of an upload of `data`."""
    ended = artifacts.UploadFinish(size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    return artifacts.UploadArtifactRequest(finish=ended)


async def rest_of(call: Any, *messages: artifacts.UploadArtifactRequest) -> list[artifacts.UploadArtifactResponse]:
    """Send the messages, as long as the server takes some; what it answers until its end."""
    try:
        for message in messages:
            await call.write(message)
        await call.done_writing()
    except RpcError:  # it has ended already, and reading says how
        pass
    answers: list[artifacts.UploadArtifactResponse] = []
    while (answer := await call.read()) is not grpc.aio.EOF:
        answers.append(answer)
    return answers


async def soon(awaitable: Awaitable[Any], seconds: float = 10.0) -> Any:
    """Await with a deadline."""
    return await within(SystemClock(), seconds, awaitable)


async def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until a condition holds."""
    clock = SystemClock()
    end = clock.monotonic() + seconds
    while not condition():
        assert clock.monotonic() < end, "it did not happen"
        await clock.sleep(0.005)


@dataclass
class Api:
    """A running API and the queue service behind it."""

    running: Running
    queue: RunningQueue
    data: Path

    eventually = staticmethod(eventually)
    rest_of = staticmethod(rest_of)
    soon = staticmethod(soon)

    def stubs(self, *roles: str, subject: str = "ada", token: str | None = None) -> Stubs:
        """Stubs for a caller."""
        return Stubs.on(self.running.channel(*roles, subject=subject, token=token))

    async def audit(self, task_id: str) -> list[Refused]:
        """The refusals about a task, newest first, as another connection to the database sees them."""
        database = Database(sqlite_url(self.data / "api.db"), METADATA, SystemClock())
        try:
            found = await database.read(lambda connection: SqlAuditStore(connection).page("", task_id, None, 100))
            return [refused for _, refused in found]
        finally:
            await database.close()

    def run_of(self, task_id: str, attempt: int) -> Stubs:
        """Stubs for the run of an attempt."""
        return self.stubs(token=self.running.tokens.of_attempt(task_id, attempt))


@pytest.fixture
async def queue() -> AsyncIterator[RunningQueue]:
    """A queue service of ours."""
    made = RunningQueue()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def api(queue: RunningQueue, tmp_path: Path) -> AsyncIterator[Api]:
    """The API service."""
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint) as process:
        yield Api(process, queue, tmp_path)


@pytest.fixture
def make_stubs() -> Callable[[Running], Stubs]:
    """A member's stubs on a process that the test starts itself."""
    return lambda process: Stubs.on(process.channel("member", subject="ada"))


@pytest.fixture
def on_channel() -> Callable[[Any], Stubs]:
    """Stubs on a channel that the test opened itself."""
    return Stubs.on


@pytest.fixture
def make_api(queue: RunningQueue, tmp_path: Path) -> Callable[[Running], Api]:
    """An `Api` for a process that the test starts itself."""
    return lambda process: Api(process, queue, tmp_path)


@pytest.fixture
def member(api: Api) -> Stubs:
    """A member's stubs."""
    return api.stubs("member")


async def several(*messages: Any) -> AsyncIterator[Any]:
    """A stream of requests."""
    for message in messages:
        yield message


async def collect(stream: Any) -> list[Any]:
    """All answers of a stream."""

    async def read() -> list[Any]:
        return [answer async for answer in stream]

    return await soon(read())


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def works(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Works]:
    """Works of each kind; those on a database have the schema that the migrations make."""
    if request.param == "memory":
        yield MemoryTransactor(memory_work)
        return
    clock = FakeClock()
    on_file = request.param == "sqlite"
    url = sqlite_url(tmp_path / "api.db") if on_file else request.getfixturevalue("new_database")()
    database = Database(url, METADATA, clock)
    migrate(database.engine, Path(main.__file__).parent / "migrations")
    yield SqlTransactor[Work](database, sql_work(Hub(clock), clock))
    await database.close()
