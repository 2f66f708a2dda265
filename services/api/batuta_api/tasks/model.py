"""What a task is. The numbers of states, phases and kinds are those of the contract."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any


class TaskState(IntEnum):
    """Where a task is in its life."""

    DRAFT = 10
    QUEUED = 20
    RUNNING = 30
    STOPPING = 40
    COMPLETED = 50
    FAILED = 60
    ABORTED = 70
    PUBLISHED = 80

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self >= TaskState.COMPLETED


class Phase(IntEnum):
    """How far an attempt has come. Phases only grow."""

    NONE = 0
    OFFERED = 10
    ACCEPTED = 20
    PREPARING = 30
    RUNNING = 40
    FINISHING = 50
    SUCCEEDED = 60
    FAILED = 61
    CANCELLED = 62
    REJECTED = 63
    LOST = 64

    @property
    def ended(self) -> bool:
        """Whether the attempt is over."""
        return self >= Phase.SUCCEEDED


class EntryState(IntEnum):
    """Where a task's entry is in the queue service."""

    WAITING = 10
    OFFERED = 20
    HELD = 30
    RUNNING = 40
    DONE = 50
    WITHDRAWN = 60


class TailKind(IntEnum):
    """Which stream of a producer a tail belongs to."""

    LOG = 1
    SCALARS = 2


@dataclass(frozen=True)
class Tail:
    """How far one producer of a closed attempt had written: a byte offset (log) or a last sequence (scalars)."""

    producer: str
    kind: TailKind
    end: int


@dataclass(frozen=True)
class Source:
    """The code: a commit with a diff on top, or one whole script."""

    repository_url: str = ""
    branch: str = ""
    commit: str = ""
    diff: str = ""
    entry_point: str = ""
    working_directory: str = ""
    script: str = ""


@dataclass(frozen=True)
class Container:
    """The container a run wants, where its agent runs containers."""

    image: str = ""
    arguments: tuple[str, ...] = ()
    setup_script: str = ""


@dataclass(frozen=True)
class Environment:
    """What the code needs around it."""

    python_version: str = ""
    requirements: tuple[str, ...] = ()
    container: Container = Container()


@dataclass(frozen=True)
class Parameter:
    """One hyper-parameter. `type` is a number of the contract's ParameterType."""

    section: str
    name: str
    value: str
    type: int = 0
    description: str = ""


@dataclass(frozen=True)
class Resources:
    """What a run asks of a machine; zero asks for nothing."""

    cpus: float = 0.0
    memory_bytes: int = 0
    gpus: int = 0


@dataclass(frozen=True)
class Retry:
    """How often a run is tried again, and what its lease is. `lease_policy` is a number of the contract's LeasePolicy.

    What is None or 0 is left to the queue.
    """

    lease_policy: int = 0
    max_losses: int | None = None
    max_failures: int | None = None
    time_limit: timedelta | None = None


@dataclass(frozen=True)
class Definition:
    """The bulky part of what is asked, kept apart because most uses of a task do not need it."""

    source: Source = Source()
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True)
class TaskStatus:
    """What the system sees of a task.

    `entry_id`  its entry at the queue service; empty when it has none that still counts.
    `priority`  that with which it was queued; should the queue service lose the entry, it is submitted again with it.
    `settled`   False between an abort of a queued task and the queue service's word that the entry gets no more
                attempts: until then the numbers of attempts are not all known, and none may be given out.
    """

    state: TaskState = TaskState.DRAFT
    reason: str = ""
    message: str = ""
    attempt: int = 0
    attempt_open: bool = False
    phase: Phase = Phase.NONE
    local: bool = False
    entry_id: str = ""
    settled: bool = True
    queue_id: str = ""
    queue_name: str = ""
    agent_id: str = ""
    host: str = ""
    exit_code: int | None = None
    signal: int | None = None
    last_iteration: int | None = None
    enqueue_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    last_proof_time: datetime | None = None
    priority: int = 0


@dataclass(frozen=True)
class Task:
    """One run of somebody's code. `type` is a number of the contract's TaskType; each change raises `generation`."""

    id: str
    display_name: str
    owner: str
    project_id: str
    project_name: str
    create_time: datetime
    update_time: datetime
    generation: int = 1
    tags: tuple[str, ...] = ()
    type: int = 1
    comment: str = ""
    parent_task_id: str = ""
    environment: Environment = Environment()
    resources: Resources = Resources()
    retry: Retry = Retry()
    status: TaskStatus = field(default_factory=TaskStatus)
    archive_time: datetime | None = None
    delete_time: datetime | None = None
    purge_time: datetime | None = None

    @property
    def etag(self) -> str:
        """Names this version of the task."""
        return str(self.generation)

    def moved(self, now: datetime, **status: Any) -> Task:
        """The next version of the task, with these fields of its status changed."""
        return self.edited(now, status=replace(self.status, **status))

    def edited(self, now: datetime, **fields: Any) -> Task:
        """The next version of the task, with these fields changed."""
        return replace(self, generation=self.generation + 1, update_time=now, **fields)


class Refusal(Exception):
    """A move that a task's present state does not allow. The text says what to do instead."""


class IllegalMove(Refusal):
    """There is no way from the state the task is in to the one asked for."""

    def __init__(self, task: Task, wanted: str, advice: str = "") -> None:
        self.state = task.status.state.name if task.delete_time is None else "DELETED"
        self.wanted = wanted
        text = f"task {task.id} is {self.state} and cannot become {wanted}"
        super().__init__(f"{text}; {advice}" if advice else text)


class AttemptOver(Refusal):
    """Somebody speaks for an attempt that is not the current one, or is closed."""

    def __init__(self, task: Task, attempt: int) -> None:
        self.attempt = attempt
        self.current = task.status.attempt
        how = "is over" if attempt == self.current else f"is not the current one ({self.current} is)"
        super().__init__(f"attempt {attempt} of task {task.id} {how}: stop, and report no more on it")


class NotLocal(Refusal):
    """The end of a run on an agent is reported by its agent, not by FinishTask."""

    def __init__(self, task: Task) -> None:
        super().__init__(
            f"attempt {task.status.attempt} of task {task.id} runs on agent {task.status.agent_id!r}, "
            "which reports its end; to stop it, abort the task"
        )


class NotSettled(Refusal):
    """The queue service has not said yet that the aborted entry gets no more attempts."""

    def __init__(self, task: Task) -> None:
        super().__init__(f"the abort of task {task.id} has not reached the queue service yet; try again in a moment")


class NotDraft(Refusal):
    """What is to be run may be edited of a draft only, or of a running task by its own run."""

    def __init__(self, task: Task) -> None:
        super().__init__(
            f"task {task.id} is {task.status.state.name}, and only of a draft more than name, tags and comment may be "
            "edited; clone it, or reset it first"
        )
