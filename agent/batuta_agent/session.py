"""One connection to the broker, from Hello to whatever ends it.

Any fault ends the connection and nothing else: the runs go on, the journal keeps what was not said, and the next
connection says it. Within a connection one task writes, so that a heartbeat never waits for anything but the wire.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

import grpc.aio

from batuta_agent.assignments import Assignments
from batuta_agent.journal import Journal
from batuta_proto.agents import v1 as agents
from batuta_rpc.clock import Clock, within
from batuta_rpc.errors import RpcError

_WELCOME_LIMIT = 20.0
_SILENT_PERIODS = 3
_SILENT_LEAST = 10.0
_WRITE_LIMIT = 20.0
"""Seconds that one message may wait for a broker that reads nothing."""
_LOOK = 2.5
"""Seconds between looks at whether the broker is still there."""
_FAREWELL_LIMIT = 2.0
_VERDICT_LIMIT = 1.0
_HEARTBEAT = 5.0
_TELEMETRY = 10.0


class SessionBroken(Exception):
    """The connection is of no more use; the runs are untouched."""


class Sampling(Protocol):
    """Takes telemetry."""

    async def sample(self) -> agents.TelemetrySample | None:
        """Machine and GPUs as they are now; None when there is nothing new."""
        ...


@dataclass
class Outcome:
    """What the next connection should know of this one."""

    session_id: str = ""
    seconds: float = 0.0
    """How long it lived after the first Welcome."""
    reconnect_after: float | None = None
    """The broker's own word on when to come back, in seconds."""
    endpoint: str = ""
    error: Exception | None = None
    """What ended it; None when the agent said goodbye."""


@dataclass
class Counters:
    """What is worth counting over all connections."""

    unknown_messages: int = 0


class Session:
    """One connection. `run` it once."""

    def __init__(
        self,
        stub: agents.DispatchServiceAsyncStub,
        hello: Callable[[], agents.Hello],
        assignments: Assignments,
        journal: Journal,
        sampler: Sampling,
        clock: Clock,
        counters: Counters,
    ) -> None:
        """`hello` gives the facts as they are when it is called; session and held assignments are added here."""
        self._stub = stub
        self._hello = hello
        self._assignments = assignments
        self._journal = journal
        self._sampler = sampler
        self._clock = clock
        self._counters = counters
        self._outcome = Outcome()
        self._wake = asyncio.Event()
        self._heartbeat_due = False
        self._heartbeat_number = 0
        self._sent_at: dict[int, float] = {}
        self._reported = 0
        self._telemetry: agents.TelemetrySample | None = None
        self._resync = False
        self._resynced_at = 0.0
        self._goodbye: agents.Goodbye | None = None
        self._heartbeat_period = _HEARTBEAT
        self._telemetry_period = _TELEMETRY
        self._answered_at = 0.0
        self._writing_since: float | None = None
        self._greeted_at: float | None = None
        self._worthless = False

    async def run(self, resume_session_id: str, on_welcome: Callable[[agents.Welcome], None]) -> Outcome:
        """Until the connection ends. Never raises but for cancellation: the outcome says what happened."""
        call: Any = self._stub.Session()
        try:
            await self._greet(call, resume_session_id, on_welcome)
            await self._first_of(self._write(call), self._read(call), self._beat(), self._measure(), self._listen())
        except (RpcError, SessionBroken) as error:
            self._outcome.error = error
        except sqlite3.Error as error:  # what cannot be kept must not be promised
            self._outcome.error = SessionBroken(f"the journal cannot be written: {error}")
            self._worthless = True
        finally:
            self._journal.on_report = self._assignments.on_change = lambda: None
            call.cancel()
            if self._greeted_at is not None and not self._worthless:
                self._outcome.seconds = self._clock.monotonic() - self._greeted_at
        return self._outcome

    def leave(self, reason: str, *, keep_leases: bool) -> bool:
        """Say goodbye; `run` then returns. False when nobody has said welcome yet."""
        self._goodbye = agents.Goodbye(reason=reason, keep_leases=keep_leases)
        self._wake.set()
        return self._greeted_at is not None

    async def _greet(self, call: Any, resume: str, on_welcome: Callable[[agents.Welcome], None]) -> None:
        sent_at = self._clock.boottime()
        try:
            welcome = await within(self._clock, _WELCOME_LIMIT, self._exchange_hello(call, resume))
        except asyncio.TimeoutError as error:
            raise SessionBroken(f"the broker did not say welcome within {_WELCOME_LIMIT:g} s") from error
        self._journal.on_report = self._wake.set
        self._assignments.on_change = self._beat_now
        await self._welcomed(welcome, sent_at)
        on_welcome(welcome)

    async def _welcomed(self, welcome: agents.Welcome, sent_at: float) -> None:
        self._outcome.session_id = welcome.session_id
        self._answered_at = self._clock.monotonic()
        self._greeted_at = self._answered_at if self._greeted_at is None else self._greeted_at
        self._heartbeat_period = _seconds(welcome.heartbeat_period, _HEARTBEAT)
        self._telemetry_period = _seconds(welcome.telemetry_period, _TELEMETRY)
        self._reported = welcome.report_number
        self._assignments.drained = False  # an undrain may have been missed; a drain that stands is said again
        self._assignments.acknowledge(welcome.report_number)
        self._assignments.renew(sent_at, self._heartbeat_period)
        await self._assignments.expect(welcome.expected)
        self._beat_now()

    async def _exchange_hello(self, call: Any, resume: str) -> agents.Welcome:
        await call.write(agents.SessionRequest(hello=self._facts(resume)))
        while True:
            message = await self._receive(call)
            if message.WhichOneof("message") == "welcome":
                return message.welcome
            if message.WhichOneof("message") == "disconnect":
                self._disconnected(message.disconnect)

    def _facts(self, resume: str) -> agents.Hello:
        hello = self._hello()
        hello.resume_session_id = resume
        hello.held.extend(self._assignments.held())
        hello.max_assignments = self._assignments.limit
        return hello

    async def _write(self, call: Any) -> None:
        """The only writer: heartbeats first, then reports, then the newest sample."""
        while True:
            message = self._next()
            if message is None:
                await self._wake.wait()
                self._wake.clear()
                continue
            await self._send(call, message)
            if message.WhichOneof("message") == "goodbye":
                await call.done_writing()
                await self._clock.sleep(_FAREWELL_LIMIT)  # the broker ends the stream before that
                return

    async def _send(self, call: Any, message: agents.SessionRequest) -> None:
        self._writing_since = self._clock.monotonic()
        try:
            await call.write(message)
        except RpcError as error:
            # A write into a stream that has ended says only that. Why it ended is for the reader to find, at once.
            await self._clock.sleep(_VERDICT_LIMIT)
            raise SessionBroken(f"the session broke: {error}") from error
        self._writing_since = None

    def _next(self) -> agents.SessionRequest | None:
        if self._resync:
            self._resync, self._resynced_at = False, self._clock.boottime()
            return agents.SessionRequest(hello=self._facts(self._outcome.session_id))
        if self._heartbeat_due:
            self._heartbeat_due = False
            return agents.SessionRequest(heartbeat=self._heartbeat())
        for report in self._journal.reports(self._reported):
            self._reported = report.report_number
            return agents.SessionRequest(report=report)
        if self._goodbye is not None:
            return agents.SessionRequest(goodbye=self._goodbye)
        if self._telemetry is not None:
            sample, self._telemetry = self._telemetry, None
            return agents.SessionRequest(telemetry=agents.Telemetry(sample=sample))
        return None

    def _heartbeat(self) -> agents.Heartbeat:
        self._heartbeat_number += 1
        self._sent_at[self._heartbeat_number] = self._clock.boottime()
        return agents.Heartbeat(
            heartbeat_number=self._heartbeat_number,
            held=self._assignments.held(),
            free_assignments=self._assignments.free(),
            draining=self._assignments.draining,
            unhealthy_reason=self._assignments.unhealthy,
        )

    async def _read(self, call: Any) -> None:
        while True:
            message = await self._receive(call)
            await self._obey(message)

    async def _receive(self, call: Any) -> agents.SessionResponse:
        message = await call.read()
        if message is grpc.aio.EOF:
            raise SessionBroken("the broker ended the session")
        received: agents.SessionResponse = message
        return received

    async def _obey(self, message: agents.SessionResponse) -> None:
        kind = message.WhichOneof("message")
        if kind == "assignment":
            await self._assignments.offer(message.assignment)
        elif kind == "heartbeat_ack":
            self._heartbeat_acknowledged(message.heartbeat_ack)
        elif kind == "cancel":
            self._assignments.cancel(message.cancel)
        elif kind == "report_ack":
            self._assignments.acknowledge(message.report_ack.report_number)
        elif kind in ("drain", "undrain"):
            self._assignments.drained = kind == "drain"
            self._beat_now()
        elif kind == "resync":
            self._resync = True
            self._wake.set()
        elif kind == "welcome":
            await self._welcomed(message.welcome, self._resynced_at)
        elif kind == "disconnect":
            self._disconnected(message.disconnect)
        else:
            self._counters.unknown_messages += 1

    def _heartbeat_acknowledged(self, ack: agents.HeartbeatAck) -> None:
        sent_at = self._sent_at.get(ack.heartbeat_number)
        self._sent_at = {number: at for number, at in self._sent_at.items() if number > ack.heartbeat_number}
        self._heartbeat_period = _seconds(ack.heartbeat_period, self._heartbeat_period)
        self._assignments.lost(ack.lost)
        if ack.heartbeat_number > 0:
            self._answered_at = self._clock.monotonic()
        if sent_at is not None:
            self._assignments.renew(sent_at, self._heartbeat_period)

    def _disconnected(self, message: agents.Disconnect) -> None:
        self._outcome.reconnect_after = _seconds(message.reconnect_after, 0.0)
        self._outcome.endpoint = message.endpoint
        raise SessionBroken("the broker goes away for a while")

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(self._heartbeat_period)
            self._beat_now()

    def _beat_now(self) -> None:
        self._heartbeat_due = True
        self._wake.set()

    async def _measure(self) -> None:
        while True:
            sample = await self._sampler.sample()
            if sample is not None:
                self._telemetry = sample
                self._wake.set()
            await self._clock.sleep(self._telemetry_period)

    async def _listen(self) -> None:
        """A broker that answers no heartbeat is gone, whatever the transport believes and whatever else it says: where
        only the way up is cut, its words still come, and the lease is not renewed."""
        while True:
            await self._clock.sleep(min(_LOOK, self._heartbeat_period))
            now = self._clock.monotonic()
            silent = now - self._answered_at
            if silent > max(_SILENT_LEAST, _SILENT_PERIODS * self._heartbeat_period):
                raise SessionBroken(f"the broker has answered no heartbeat for {silent:.0f} s")
            if self._writing_since is not None and now - self._writing_since > _WRITE_LIMIT:
                raise SessionBroken(f"the broker has read nothing for {now - self._writing_since:.0f} s")

    async def _first_of(self, *work: Coroutine[Any, Any, None]) -> None:
        """Run them side by side until one returns or raises, then end the others."""
        running: set[asyncio.Future[Any]] = {asyncio.ensure_future(each) for each in work}
        try:
            done, _rest = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        except SessionBroken:
            if self._goodbye is None:
                raise
        finally:
            for each in running:
                each.cancel()
            await asyncio.wait(running)


def _seconds(duration: Any, default: float) -> float:
    """A protobuf Duration in seconds; `default` when it is absent or zero."""
    return duration.seconds + duration.nanos / 1e9 or default
