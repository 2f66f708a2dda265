"""For tests and measurements: an agent that speaks the session stream and does nothing else."""

from __future__ import annotations

from typing import Any, cast

import grpc
import grpc.aio

from batuta_proto.agents import v1 as agents
from batuta_proto.types import v1 as types
from batuta_rpc.clock import Clock, SystemClock, within
from batuta_rpc.errors import RpcError, from_grpc

Phase = types.AttemptPhase


class FakeAgent:
    """One agent process. What it accepted and did not finish it says that it holds."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        queue_ids: list[str],
        agent_id: str = "agent-1",
        *,
        journal_id: str = "",
        instance_id: str = "instance-1",
        boot_id: str = "boot-1",
        max_assignments: int = 1,
        patience: float = 10.0,
        clock: Clock | None = None,
    ) -> None:
        """`patience` is how many seconds (of the real clock, unless one is given) it waits for a message."""
        self.agent_id = agent_id
        self.journal_id = journal_id or f"journal-of-{agent_id}"
        self.instance_id = instance_id
        self.boot_id = boot_id
        self.queue_ids = queue_ids
        self.max_assignments = max_assignments
        self.held: dict[tuple[str, int], Phase] = {}
        self.session_id = ""
        self.report_number = 0
        self.heartbeat_number = 0
        self._patience = patience
        self._clock = clock or SystemClock()
        self._stub = agents.DispatchServiceStub(channel)
        self._call: Any = None
        self._skipped: list[agents.SessionResponse] = []

    async def connect(self, **changes: Any) -> agents.Welcome:
        """Open a stream, say Hello, and return the Welcome. `changes` are fields of Hello."""
        self.open()
        await self.say_hello(**changes)
        welcome: agents.Welcome = await self.next("welcome")
        self.session_id = welcome.session_id
        self.report_number = max(self.report_number, welcome.report_number)
        return welcome

    def open(self) -> None:
        """Open a stream and say nothing."""
        self._call = self._stub.Session()
        self._skipped = []
        self.heartbeat_number = 0

    async def say_hello(self, **changes: Any) -> None:
        """Send Hello."""
        facts: dict[str, Any] = {
            "agent_id": self.agent_id,
            "instance_id": self.instance_id,
            "journal_id": self.journal_id,
            "boot_id": self.boot_id,
            "held": self._holding(),
            "max_assignments": self.max_assignments,
            "queue_ids": self.queue_ids,
            "host": f"host-of-{self.agent_id}",
            "version": "0.1.0",
        }
        await self.send(agents.SessionRequest(hello=agents.Hello(**(facts | changes))))

    async def send(self, message: agents.SessionRequest) -> None:
        """Send any message."""
        await self._call.write(message)

    async def next(self, kind: str) -> Any:
        """The next message of a kind (`welcome`, `assignment`, …); others are kept for later. Raises `RpcError` when
        the stream ends with one, and `EOFError` when it ends well."""
        for index, message in enumerate(self._skipped):
            if message.WhichOneof("message") == kind:
                return getattr(self._skipped.pop(index), kind)
        while True:
            message = await within(self._clock, self._patience, self._read())
            if message.WhichOneof("message") == kind:
                return getattr(message, kind)
            self._skipped.append(message)

    async def next_of_any_kind(self) -> agents.SessionResponse:
        """The next message, whatever it is. Raises as `next` does."""
        return self._skipped.pop(0) if self._skipped else await within(self._clock, self._patience, self._read())

    async def nothing(self, kind: str) -> bool:
        """Whether no message of a kind is on its way: asks for a heartbeat's answer and looks what came before it."""
        await self.beat()
        return all(message.WhichOneof("message") != kind for message in self._skipped)

    async def beat(self, *, free: int | None = None, draining: bool = False) -> agents.HeartbeatAck:
        """Send a heartbeat and return its answer."""
        self.heartbeat_number += 1
        running = sum(1 for phase in self.held.values() if phase < types.ATTEMPT_PHASE_SUCCEEDED)
        beat = agents.Heartbeat(
            heartbeat_number=self.heartbeat_number,
            held=self._holding(),
            free_assignments=self.max_assignments - running if free is None else free,
            draining=draining,
        )
        await self.send(agents.SessionRequest(heartbeat=beat))
        while True:
            ack: agents.HeartbeatAck = await self.next("heartbeat_ack")
            if ack.heartbeat_number == self.heartbeat_number:
                return ack

    async def accept(self, assignment: agents.Assignment) -> None:
        """Accept an assignment and wait until that is stored."""
        await self.report(assignment.ref, types.ATTEMPT_PHASE_ACCEPTED)

    async def report(self, ref: agents.AssignmentRef, phase: Phase, **fields: Any) -> agents.ReportAck:
        """Report a phase and wait until the report is acknowledged."""
        self.report_number += 1
        await self.send_report(self.report_number, ref, phase, **fields)
        while True:
            ack: agents.ReportAck = await self.next("report_ack")
            if ack.report_number >= self.report_number:
                break
        if phase >= types.ATTEMPT_PHASE_SUCCEEDED:
            self.held.pop((ref.task_id, ref.attempt), None)
        return ack

    async def send_report(self, number: int, ref: agents.AssignmentRef, phase: Phase, **fields: Any) -> None:
        """Send a report under any number, and do not wait."""
        self.held[(ref.task_id, ref.attempt)] = phase
        report = agents.AssignmentReport(report_number=number, ref=ref, phase=phase, **fields)
        await self.send(agents.SessionRequest(report=report))

    async def say_goodbye(self, *, keep_leases: bool) -> None:
        """Send Goodbye and wait for the end of the stream."""
        await self.send(agents.SessionRequest(goodbye=agents.Goodbye(reason="test", keep_leases=keep_leases)))
        await self.end()

    async def end(self) -> RpcError | None:
        """Wait for the end of the stream; returns the error that it ended with."""
        try:
            while True:
                self._skipped.append(await within(self._clock, self._patience, self._read()))
        except EOFError:
            return None
        except RpcError as error:
            return error

    def cut(self) -> None:
        """Break the stream, as a lost connection does."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    async def _read(self) -> agents.SessionResponse:
        try:
            message = await self._call.read()
        except grpc.RpcError as error:
            raise from_grpc(error) from error
        if message is grpc.aio.EOF:
            raise EOFError("the stream ended")
        return cast("agents.SessionResponse", message)

    def _holding(self) -> list[agents.HeldAssignment]:
        return [
            agents.HeldAssignment(ref=agents.AssignmentRef(task_id=task_id, attempt=attempt), phase=phase)
            for (task_id, attempt), phase in self.held.items()
        ]


def submit_request(entry_id: str, queue_id: str, **envelope: Any) -> Any:
    """A SubmitEntryRequest for a task of the same name."""
    from batuta_proto.queues import v1 as queues

    fields: dict[str, Any] = {"queue_id": queue_id, "task_id": f"task-of-{entry_id}"} | envelope
    return queues.SubmitEntryRequest(
        entry_id=entry_id,
        envelope=queues.SchedulingEnvelope(**fields),
        payload=b"payload of " + entry_id.encode(),
        payload_media_type="text/plain",
    )
