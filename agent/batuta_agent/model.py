"""The words of the agent: which attempt, how far it is, how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import NamedTuple

from google.rpc import error_details_pb2, status_pb2

from batuta_proto.agents import v1 as agents

DOMAIN = "batuta"


class Phase(IntEnum):
    """How far an attempt is; the numbers of `batuta.types.v1.AttemptPhase`."""

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
    def terminal(self) -> bool:
        """Whether nothing comes after it."""
        return self >= Phase.SUCCEEDED


class Ref(NamedTuple):
    """Which attempt of which task."""

    task_id: str
    attempt: int

    @classmethod
    def of(cls, message: agents.AssignmentRef) -> Ref:
        """From the wire."""
        return cls(message.task_id, message.attempt)

    def message(self) -> agents.AssignmentRef:
        """For the wire."""
        return agents.AssignmentRef(task_id=self.task_id, attempt=self.attempt)

    def __str__(self) -> str:
        """As people read it, and as folders are named."""
        return f"{self.task_id}.{self.attempt}"


@dataclass(frozen=True)
class Held:
    """An assignment in the agent's hands, as its journal has it."""

    ref: Ref
    assignment: agents.Assignment
    phase: Phase = Phase.ACCEPTED
    accepted: bool = False
    """True once the broker has stored ACCEPTED: only then may user code start."""
    settled: bool = False
    """True once the broker has stored the end. What remains is data on its way."""

    def at(self, phase: Phase) -> Held:
        """The same, further on. Phases only grow."""
        return self if phase <= self.phase else replace(self, phase=phase)


@dataclass(frozen=True)
class Ending:
    """How an attempt ended."""

    phase: Phase
    reason: str = ""
    """One word for programs, as in `EXIT_CODE`."""
    message: str = ""
    """A sentence for people."""
    exit_code: int | None = None
    signal: int | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])

    def status(self) -> status_pb2.Status | None:
        """For the wire; None for a plain success."""
        if not self.reason:
            return None
        status = status_pb2.Status(code=2, message=self.message[:4000])
        info = error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN)
        for key, value in self.metadata.items():
            info.metadata[key] = value[:300]
        status.details.add().Pack(info)
        return status
