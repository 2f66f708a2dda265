"""For the state machine: agents that keep the rules of the real one, and the processes that outlive them.

A machine is four things that fail apart: the host with its boots, the user's processes (each under a shim that knows
its deadline), the journal on disk, and the agent's process with its connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from batuta_proto.agents import v1 as agents
from batuta_queue.convert import seconds_of
from batuta_queue.convert_session import ref_message, ref_of
from batuta_queue.model import AttemptPhase, Ref
from batuta_rpc.errors import SessionSuperseded
from batuta_rpc.testing import FakeClock

from .model_broker import End, Pipe

_LOST_GRACE = 5.0
_SILENT = 15.0


@dataclass
class Execution:
    """A user's process under its shim. It dies as late as the rules allow."""

    ref: Ref
    stop_at: float
    kill_grace: float
    dies_at: float | None = None
    ended: AttemptPhase | None = None
    reason: str = ""
    cause: tuple[AttemptPhase, str] = (AttemptPhase.CANCELLED, "")

    def stop(self, now: float, grace: float, cause: AttemptPhase, reason: str = "") -> None:
        """Begin to kill it; the first cause counts, and the shortest grace."""
        if self.dies_at is None:
            self.cause = (cause, reason)
        self.dies_at = min(now + grace, self.dies_at or now + grace)

    def age(self, now: float) -> None:
        """What its shim does as time goes by."""
        if self.ended is None and self.dies_at is None and 0 < self.stop_at <= now:
            self.stop(self.stop_at, self.kill_grace, AttemptPhase.LOST, "LEASE_LOST")
        if self.ended is None and self.dies_at is not None and self.dies_at <= now:
            self.end(*self.cause)

    def end(self, phase: AttemptPhase, reason: str = "") -> None:
        """It is over."""
        if self.ended is None:
            self.ended, self.reason = phase, reason


@dataclass
class Held:
    """One assignment in the journal, and what the agent's process knows of it."""

    ref: Ref
    assignment: agents.Assignment
    phase: AttemptPhase = AttemptPhase.ACCEPTED
    permitted: bool = False
    settled: bool = False
    lost: bool = False
    stopped: bool = False


@dataclass
class ModelAgent:
    """One machine with one agent."""

    id: str
    queue_ids: list[str]
    places: int
    clock: FakeClock
    start: Callable[[Execution], None]
    """Called when user code starts."""
    acknowledged: Callable[[ModelAgent, agents.AssignmentReport], None]
    """Called when the broker has said that it has stored a report."""
    eager: bool = True
    """User code starts as soon as it may; else at the next tick."""
    boot: int = 1
    instance: int = 1
    journal: int = 1
    alive: bool = True
    pipe: Pipe | None = None
    held: dict[Ref, Held] = field(default_factory=dict[Ref, Held])
    reports: dict[int, agents.AssignmentReport] = field(default_factory=dict[int, agents.AssignmentReport])
    sent: list[agents.AssignmentReport] = field(default_factory=list[agents.AssignmentReport])
    executions: dict[Ref, Execution] = field(default_factory=dict[Ref, Execution])
    session_id: str = ""
    next_try: float = 0.0
    superseded: bool = False
    drained: bool = False
    _number: int = 0
    _reported: int = 0
    _beat_number: int = 0
    _sent_at: dict[int, float] = field(default_factory=dict[int, float])
    _period: float = 5.0
    _next_beat: float = 0.0
    _heard_at: float = 0.0
    _welcomed: bool = False

    @property
    def journal_id(self) -> str:
        """The journal's id."""
        return f"journal-{self.journal}-of-{self.id}"

    # the process

    def connect(self, **changes: Any) -> Pipe:
        """Open a stream and say Hello."""
        self.pipe = Pipe(self.id)
        self._welcomed, self._beat_number = False, 0
        self._heard_at = self.clock.boottime()
        self._sent_at = {}
        self._say_hello(changes)
        return self.pipe

    def _say_hello(self, changes: dict[str, Any]) -> None:
        assert self.pipe is not None
        self._sent_at[0] = self.clock.boottime()
        hello: dict[str, Any] = {
            "agent_id": self.id,
            "instance_id": f"instance-{self.instance}-of-{self.id}",
            "journal_id": self.journal_id,
            "start_number": self.instance,
            "boot_id": f"boot-{self.boot}-of-{self.id}",
            "resume_session_id": self.session_id,
            "held": self._holding(),
            "max_assignments": self.places,
            "queue_ids": self.queue_ids,
            "capabilities": ["drain", "resync"],
            "host": f"host-of-{self.id}",
            "version": "0.1.0",
        }
        self.pipe.up.append(agents.SessionRequest(hello=agents.Hello(**(hello | changes))))

    def disconnect(self, wait: float = 0.0) -> None:
        """Close the stream; come back after so many seconds."""
        if self.pipe is not None:
            self.pipe.abandoned = True
        self.pipe = None
        self.next_try = self.clock.boottime() + wait

    def die(self) -> None:
        """The agent's process is gone, and nothing else."""
        self.disconnect()
        self.alive = False

    def live(self) -> None:
        """A new process on the same journal. What has not started waits for a new word of the broker."""
        self.alive, self.superseded = True, False
        self.instance += 1
        self.session_id, self._reported = "", 0
        for held in list(self.held.values()):
            held.permitted = held.lost = held.stopped = False

    def reboot(self) -> None:
        """The host starts again."""
        self.die()
        self.boot += 1
        for execution in self.executions.values():
            execution.end(AttemptPhase.FAILED, "SHIM_LOST")
        self.live()

    def replace_machine(self) -> None:
        """Another machine takes the name; nothing of the old one is left."""
        self.reboot()
        self.journal += 1
        self.held, self.reports, self.executions, self._number = {}, {}, {}, 0
        self.sent = []

    def goodbye(self, *, keep: bool) -> None:
        """Leave in order. Without `keep` the runs are stopped and reported first."""
        if not keep:
            for ref, execution in self.executions.items():
                execution.end(AttemptPhase.CANCELLED)
                self._stop(ref)
            self.notice()
        if self.pipe is not None and self._welcomed:
            self._say_reports()
            self.pipe.up.append(agents.SessionRequest(goodbye=agents.Goodbye(reason="stopped", keep_leases=keep)))
        self.alive = False
        # Its end stays until what it said has arrived: the process waits for the end of the stream.
        self.pipe = None

    # time

    def age(self) -> None:
        """Deadlines of shims; they need no agent."""
        for execution in self.executions.values():
            execution.age(self.clock.boottime())

    def tick(self) -> None:
        """What the process does as time goes by."""
        if not self.alive:
            return
        now = self.clock.boottime()
        self.notice()
        for held in list(self.held.values()):
            self._try_to_start(held)
        if self.pipe is not None and now - self._heard_at > max(_SILENT, 3 * self._period):
            self.disconnect()
        if self.pipe is not None and self._welcomed and now >= self._next_beat:
            self._next_beat = now + self._period
            self.beat()
        self._say_reports()

    def notice(self) -> None:
        """See what has ended, and report it."""
        for ref, held in list(self.held.items()):
            execution = self.executions.get(ref)
            if held.lost and (execution is None or execution.ended is not None):
                self._forget(ref)
            elif execution is not None and execution.ended is not None and not held.phase.ended:
                self._report(held, execution.ended, execution.reason)
            elif execution is None and held.stopped and not held.phase.ended:
                self._report(held, AttemptPhase.CANCELLED)
        self._say_reports()

    def beat(self) -> None:
        """Send a heartbeat."""
        if self.pipe is None or not self._welcomed:
            return
        self._beat_number += 1
        self._sent_at[self._beat_number] = self.clock.boottime()
        beat = agents.Heartbeat(
            heartbeat_number=self._beat_number,
            held=self._holding(),
            free_assignments=self._free(),
            draining=self.drained,
        )
        self.pipe.up.append(agents.SessionRequest(heartbeat=beat))

    def repeat(self, index: int) -> bool:
        """Send a report again that was sent before."""
        if self.pipe is None or not self._welcomed or not self.sent:
            return False
        self.pipe.up.append(agents.SessionRequest(report=self.sent[index % len(self.sent)]))
        return True

    # what the broker says

    def read(self, count: int) -> int:
        """Take up to `count` messages of the stream. Returns how many there were."""
        done = 0
        while done < count and self.pipe is not None and self.pipe.down:
            done += 1
            message = self.pipe.down.popleft()
            self._heard_at = self.clock.boottime()
            if isinstance(message, End):
                self._ended(message.error)
            else:
                self._obey(message)
        return done

    def _ended(self, error: Exception | None) -> None:
        self.disconnect(0.0 if self._welcomed else 2.0)
        ours = f"instance-{self.instance}-of-{self.id}"
        if isinstance(error, SessionSuperseded) and error.metadata.get("instance_id") != ours:
            self.superseded = True
            self.die()

    def _obey(self, message: agents.SessionResponse) -> None:
        kind = message.WhichOneof("message")
        if kind == "welcome":
            self._welcome(message.welcome)
        elif kind == "assignment":
            self._offered(message.assignment)
        elif kind == "heartbeat_ack":
            for ref in message.heartbeat_ack.lost:
                self._lose(ref_of(ref))
            sent_at = self._sent_at.pop(message.heartbeat_ack.heartbeat_number, None)
            if sent_at is not None and message.heartbeat_ack.heartbeat_number > 0:
                self._renew(sent_at)
        elif kind == "cancel":
            self._cancelled(ref_of(message.cancel.ref), seconds_of(message.cancel.grace))
        elif kind == "report_ack":
            self._acknowledge(message.report_ack.report_number)
        elif kind == "resync":
            self._say_hello({})
        elif kind in ("drain", "undrain"):
            self.drained = kind == "drain"
            self.beat()
        elif kind == "disconnect":
            self.disconnect(seconds_of(message.disconnect.reconnect_after))
        self._say_reports()

    def _welcome(self, welcome: agents.Welcome) -> None:
        self._welcomed, self.session_id, self.drained = True, welcome.session_id, False
        self._period = seconds_of(welcome.heartbeat_period)
        self._next_beat = self.clock.boottime() + self._period
        self._reported = welcome.report_number
        self._acknowledge(welcome.report_number)
        self._renew(self._sent_at[0])
        wanted = {ref_of(each.ref): each for each in welcome.expected}
        for held in list(self.held.values()):
            if held.settled:
                continue
            if held.ref in wanted:
                held.permitted = True
                self._started_soon(held)
            else:
                self._lose(held.ref)
        for assignment in wanted.values():
            self._offered(assignment)
        self.beat()

    def _offered(self, assignment: agents.Assignment) -> None:
        ref = ref_of(assignment.ref)
        if ref in self.held:
            return
        if self._free() == 0:
            self._add_report(ref, AttemptPhase.REJECTED, "AGENT_BUSY")
            return
        self.held[ref] = Held(ref, assignment)
        self._add_report(ref, AttemptPhase.ACCEPTED)

    def _cancelled(self, ref: Ref, grace: float) -> None:
        execution = self.executions.get(ref)
        if execution is not None:
            execution.stop(self.clock.boottime(), grace, AttemptPhase.CANCELLED)
        self._stop(ref)
        self.notice()

    def _lose(self, ref: Ref) -> None:
        held = self.held.get(ref)
        if held is None:
            return
        held.lost = held.stopped = True
        execution = self.executions.get(ref)
        if execution is not None:
            execution.stop(self.clock.boottime(), _LOST_GRACE, AttemptPhase.LOST)
        self.notice()

    def _acknowledge(self, number: int) -> None:
        for each in [each for each in self.reports if each <= number]:
            report = self.reports.pop(each)
            self.acknowledged(self, report)
            held = self.held.get(ref_of(report.ref))
            if held is None:
                continue
            held.permitted = True
            if AttemptPhase(report.phase).ended:
                held.settled = True
                del self.held[held.ref]
            else:
                self._started_soon(held)

    def _renew(self, sent_at: float) -> None:
        for held in self.held.values():
            execution = self.executions.get(held.ref)
            if execution is not None and execution.dies_at is None and execution.stop_at:
                execution.stop_at = max(execution.stop_at, sent_at + _left(held.assignment))
        self._renewed = sent_at

    _renewed: float = 0.0

    # small things

    def _started_soon(self, held: Held) -> None:
        if self.eager:
            self._try_to_start(held)

    def _try_to_start(self, held: Held) -> None:
        if not held.permitted or held.stopped or held.phase.ended or held.ref in self.executions:
            return
        kills = held.assignment.lease.kill_when_lost
        stop_at = self._renewed + _left(held.assignment) if kills else 0.0
        if kills and stop_at <= self.clock.boottime():
            return
        execution = Execution(held.ref, stop_at, seconds_of(held.assignment.lease.kill_grace))
        self.executions[held.ref] = execution
        self.start(execution)
        self._report(held, AttemptPhase.RUNNING)

    def _stop(self, ref: Ref) -> None:
        held = self.held.get(ref)
        if held is not None:
            held.stopped = True

    def _forget(self, ref: Ref) -> None:
        del self.held[ref]
        self.reports = {number: each for number, each in self.reports.items() if ref_of(each.ref) != ref}

    def _report(self, held: Held, phase: AttemptPhase, reason: str = "") -> None:
        held.phase = max(held.phase, phase)
        self._add_report(held.ref, phase, reason)

    def _add_report(self, ref: Ref, phase: AttemptPhase, reason: str = "") -> None:
        self._number += 1
        self.reports[self._number] = report_message(self._number, ref, phase, reason)

    def _say_reports(self) -> None:
        if self.pipe is None or not self._welcomed:
            return
        for number, report in self.reports.items():
            if number > self._reported:
                self._reported = number
                self.sent.append(report)
                self.pipe.up.append(agents.SessionRequest(report=report))

    def _holding(self) -> Iterable[agents.HeldAssignment]:
        return [
            agents.HeldAssignment(ref=ref_message(held.ref), phase=int(held.phase))  # type: ignore[arg-type]
            for held in self.held.values()
            if not held.settled
        ]

    def _free(self) -> int:
        if self.drained:
            return 0
        return max(0, self.places - sum(1 for held in self.held.values() if not held.phase.ended))


def report_message(number: int, ref: Ref, phase: AttemptPhase, reason: str) -> agents.AssignmentReport:
    """A report, with its reason as the agent writes it."""
    message = agents.AssignmentReport(
        report_number=number,
        ref=ref_message(ref),
        phase=int(phase),  # type: ignore[arg-type]
    )
    if reason:
        from google.rpc import error_details_pb2

        message.reason.code = 14
        message.reason.message = reason.lower()
        message.reason.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="batuta"))
    return message


def _left(assignment: agents.Assignment) -> float:
    """How long after the sending of an acknowledged heartbeat a shim begins to stop."""
    return seconds_of(assignment.lease.lost_after) * 0.99 - seconds_of(assignment.lease.kill_grace) - 5.0
