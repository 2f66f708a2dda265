"""Who makes the call that is being served."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

from batuta_rpc.errors import OtherTask, RoleMissing, StaleAttempt

NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Caller:
    """The holder of a token, as the token says."""

    subject: str
    """A user's name, `agent:<id>`, `service:<name>`, or `attempt:<task id>/<attempt>`; empty without a token."""
    roles: frozenset[str]
    task_id: str | None = None
    """For the run of an attempt: its task."""
    attempt: int | None = None
    """For the run of an attempt: its number."""
    token_expire: datetime = NEVER
    access_key: str = ""
    """The credential that the token was given for; empty: none."""
    epoch: int = 0
    """Of a user: its epoch when the token was given."""
    agent_id: str = ""
    """The only agent that may be run with it, where the credential is one agent's own."""
    writes: bool = False
    """Whether the call that is being served may change something."""

    @property
    def is_attempt(self) -> bool:
        """Whether the call comes from the run of an attempt, which may reach its own task only."""
        return "attempt" in self.roles

    def require_agent(self, agent_id: str) -> None:
        """Let an agent's own credential run that agent only; others name none. Raises `RoleMissing`."""
        if self.agent_id not in ("", agent_id):
            raise RoleMissing(
                f"this credential is agent {self.agent_id!r}'s own, and does not run agent {agent_id!r}: give that one "
                "its own with a token of `batuta agent join-token`",
                subject=self.subject,
                agent_id=agent_id,
            )

    def require_task(self, task_id: str, attempt: int | None = None) -> None:
        """Let people and services pass, and a run only to its own task (and attempt, where the call names one).

        Raises `OtherTask` or `StaleAttempt`.
        """
        if not self.is_attempt:
            return
        if task_id != self.task_id:
            raise OtherTask(
                f"this token belongs to task {self.task_id}; it does not open task {task_id}",
                task_id=task_id,
                token_task_id=self.task_id,
            )
        if attempt is not None and attempt != self.attempt:
            raise StaleAttempt(
                f"this token belongs to attempt {self.attempt} of task {task_id}, not to attempt {attempt}",
                task_id=task_id,
                attempt=attempt,
                token_attempt=self.attempt,
            )


ANONYMOUS = Caller(subject="", roles=frozenset())
"""Whoever calls a public method."""

_current: ContextVar[Caller] = ContextVar("batuta_caller", default=ANONYMOUS)


def current_caller() -> Caller:
    """Who makes the call that the running task serves; `ANONYMOUS` outside of calls and in public methods."""
    return _current.get()


def set_caller(caller: Caller) -> None:
    """Note who calls. Each call runs in a task of its own, so nothing needs to be put back."""
    _current.set(caller)
