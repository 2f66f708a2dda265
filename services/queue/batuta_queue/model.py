"""What the broker knows: queues, entries, attempts, agents, events. Values only; `transitions` holds how they change.

Times are milliseconds since 1970 (UTC) and passed in. Numbers of the enums are those of the contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple


class EntryState(IntEnum):
    """Where an entry is in its life."""

    WAITING = 10
    OFFERED = 20
    HELD = 30
    RUNNING = 40
    DONE = 50
    WITHDRAWN = 60

    @property
    def ended(self) -> bool:
        """Nothing happens to the entry any more."""
        return self >= EntryState.DONE


class AttemptPhase(IntEnum):
    """How far an attempt has come; it only grows."""

    UNSPECIFIED = 0
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
        """The attempt is closed."""
        return self >= AttemptPhase.SUCCEEDED


class LeasePolicy(IntEnum):
    """What happens to work when its agent is lost."""

    UNSPECIFIED = 0
    STRICT = 1
    FAST = 2
    KEEP = 3


class CancelReason(IntEnum):
    """Why something is cancelled."""

    USER = 1
    TIMEOUT = 2
    PREEMPTED = 3
    SUPERSEDED = 4


class Ref(NamedTuple):
    """Which attempt of which task. The attempt number is the fence."""

    task_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something ended. `status` is the agent's own `google.rpc.Status`, serialized, where it sent one."""

    name: str
    message: str
    code: int = 2
    status: bytes = b""


@dataclass(frozen=True, slots=True)
class Cancel:
    """A standing wish that a running entry stops."""

    grace_millis: int
    reason: CancelReason


@dataclass(frozen=True, slots=True)
class Tail:
    """How far one producer of an attempt had written."""

    producer: str
    kind: int
    end: int


@dataclass(frozen=True, slots=True)
class Resources:
    """What a task asks for or a machine has. Zero: nothing asked, nothing known."""

    cpus: float = 0.0
    memory_bytes: int = 0
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as NVML names it."""

    uuid: str
    index: int
    display_name: str
    memory_bytes: int
    driver_version: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Somebody's standing wish that nothing of a queue is offered."""

    millis: int
    by: str


@dataclass(frozen=True, slots=True)
class Queue:
    """A named line of entries. `name` is as given, after NFC; it is unique."""

    id: str
    name: str
    lease_policy: LeasePolicy
    generation: int
    create_millis: int
    pause: Pause | None = None
    description: str = ""

    @property
    def etag(self) -> str:
        """Changes with every change of the settings."""
        return str(self.generation)


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many entries of a queue wait (offered and held included), run, and are held."""

    waiting: int = 0
    running: int = 0
    held: int = 0

    def plus(self, state: EntryState, count: int) -> QueueCounts:
        """With so many more entries of a state, none of which has ended."""
        running, held = (count if state is each else 0 for each in (EntryState.RUNNING, EntryState.HELD))
        return QueueCounts(self.waiting + count - running, self.running + running, self.held + held)


@dataclass(frozen=True, slots=True)
class Payload:
    """What the submitter sent along, opaque here."""

    data: bytes = b""
    media_type: str = ""


NO_PAYLOAD = Payload()


@dataclass(frozen=True, slots=True)
class Entry:
    """One task in one queue.

    `policy` is the one that holds, the queue's own already resolved. `position` is its place among entries of equal
    priority, never beyond the head of the log; only people move it, so an entry that comes back stands where it stood.
    `losses` counts infrastructure losses, `failures` ends that the task itself is to blame for, `preemptions` ends for
    others' sake; each has its own budget, the last one none. `last_lost_agent` names the agent of the last loss that
    nothing explained. `wait_millis` is when it began to wait: as it came, or came back from an attempt. An entry that
    runs while its queue is deleted has no `queue_id` any more. `last_position` is that of the newest event that was
    about the entry and none of its attempts, or about both. `traceparent` is the trace that it came in with.
    """

    id: str
    task_id: str
    queue_id: str
    state: EntryState
    enqueue_millis: int
    priority: int = 0
    owner: str = ""
    project_id: str = ""
    resources: Resources = Resources()
    policy: LeasePolicy = LeasePolicy.STRICT
    max_losses: int = 3
    max_failures: int = 0
    time_limit_millis: int | None = None
    position: int = 0
    attempt: int = 0
    agent_id: str = ""
    hold_reason: str = ""
    losses: int = 0
    failures: int = 0
    preemptions: int = 0
    last_lost_agent: str = ""
    not_before_millis: int = 0
    cancel: Cancel | None = None
    end_millis: int | None = None
    last_position: int = 0
    wait_millis: int = 0
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who gets an attempt: an agent, the state folder it keeps, the boot it runs in."""

    agent_id: str
    host: str
    journal_id: str
    boot_id: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one entry on one agent. It belongs to the journal: the agent may restart and keep it.

    `last_position` is that of the newest event about it.
    """

    ref: Ref
    entry_id: str
    holder: Holder
    phase: AttemptPhase
    offer_millis: int
    accept_millis: int | None = None
    end_millis: int | None = None
    last_position: int = 0


@dataclass(frozen=True, slots=True)
class Drain:
    """An operator's standing wish that an agent takes no new work, and stops what it has at the deadline."""

    reason: str
    request_millis: int
    deadline_millis: int | None = None


@dataclass(frozen=True, slots=True)
class Agent:
    """A machine, or part of one, as its last Hello described it.

    `drain` is an operator's and outlives every Hello. `leave_millis` is when it said goodbye or was declared lost; none
    while it is here or has vanished without a word.
    """

    id: str
    instance_id: str
    journal_id: str
    boot_id: str
    host: str
    version: str
    queue_ids: tuple[str, ...]
    max_assignments: int
    connect_millis: int
    heartbeat_millis: int
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    capabilities: tuple[str, ...] = ()
    capacity: Resources = Resources()
    gpus: tuple[Gpu, ...] = ()
    drain: Drain | None = None
    leave_millis: int | None = None

    @property
    def holder(self) -> Holder:
        """This agent as the one who gets attempts."""
        return Holder(self.id, self.host, self.journal_id, self.boot_id)


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one entry as the log keeps it."""

    position: int
    entry_id: str
    task_id: str
    entry_state: EntryState
    attempt: int
    phase: AttemptPhase
    event_millis: int
    agent_id: str = ""
    host: str = ""
    reason: Reason | None = None
    exit_code: int | None = None
    signal: int | None = None
    tails: tuple[Tail, ...] = ()
    queue_id: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What an agent says became of an assignment. `number` counts up in the life of its journal."""

    number: int
    ref: Ref
    phase: AttemptPhase
    event_millis: int
    reason: Reason | None = None
    exit_code: int | None = None
    signal: int | None = None
    tails: tuple[Tail, ...] = ()
