"""The life of one attempt on this machine, and its continuation after the agent itself was replaced."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import traceback
from collections.abc import Coroutine
from typing import Any, TypeVar

from batuta_agent import ending, run_environment
from batuta_agent.console import AgentConsole
from batuta_agent.delivery import Delivery
from batuta_agent.environment.failure import INFRASTRUCTURE, PreparationFailed
from batuta_agent.environment.prepare import Prepared
from batuta_agent.environment.tool import Tools
from batuta_agent.folders import AttemptFolder
from batuta_agent.model import Ending, Held, Phase
from batuta_agent.shim import processes
from batuta_agent.shim.state import CLAIMED, Order, State, read_state
from batuta_agent.shims import RunningShim, ShimFailed, end_stray_processes
from batuta_agent.traced import AttemptTrace
from batuta_agent.workshop import Workshop
from batuta_courier import layout
from batuta_proto.agents import v1 as agents
from batuta_rpc.backoff import Backoff
from batuta_rpc.clock import within

_SLOW = 0.2
"""Seconds of preparation after which PREPARING is worth a report."""
_HEAD_START = 0.03
"""Seconds that a new process has the machine to itself, as far as we are concerned."""
_COURIER_DELAY = 0.1
"""Seconds by which the courier is started after the user's process, which goes first."""
_DRAIN_LIMIT = 30.0
"""How long the report of the end waits for the last data."""
_DELIVERY_LIMIT = 24 * 3600.0
"""How long data that came too late for the report is still offered to the server."""
_LOST_GRACE = 5.0
_JOURNAL_TRIES = 500

T = TypeVar("T")


def lease_seconds(terms: agents.LeaseTerms) -> float | None:
    """How long after the sending of an acknowledged heartbeat the shim begins to kill; None: a lease never kills.

    1 % for clocks that run apart and 5 s for everything else are kept back, so that the process is dead before the
    broker gives its work away.
    """
    if not terms.kill_when_lost:
        return None
    lost_after = terms.lost_after.seconds + terms.lost_after.nanos / 1e9
    grace = terms.kill_grace.seconds + terms.kill_grace.nanos / 1e9
    return lost_after * 0.99 - grace - 5.0


class Attempt:
    """One attempt. `run` sees it through; the other methods are what the broker says meanwhile."""

    def __init__(self, held: Held, folder: AttemptFolder, workshop: Workshop) -> None:
        self.ref = held.ref
        self._assignment = held.assignment
        self._folder = folder
        self._shop = workshop
        self._permitted = asyncio.Event()
        self._stop = asyncio.Event()
        self._cancel: agents.Cancel | None = None
        self._lost = asyncio.Event()
        self._stop_at = 0.0
        self._renewed = asyncio.Event()
        self._shim: RunningShim | None = None
        self._console = AgentConsole(folder.spool)
        self._trace = AttemptTrace(held.ref, held.assignment, workshop.agent, workshop.tracer, workshop.ids)
        token = held.assignment.attempt_token
        env = run_environment.courier(workshop.env, token, workshop.ca_file, self._trace.of_the_run)
        self._delivery = Delivery(folder.spool, env, workshop.clock, workshop.ids)
        self._settled = asyncio.Event()
        self.update(held)

    def update(self, held: Held) -> None:
        """The journal's record of it has changed."""
        if held.accepted:
            self._permitted.set()
        if held.settled:
            self._settled.set()

    def cancel(self, message: agents.Cancel) -> None:
        """Stop it. A second time, the shorter grace counts."""
        self._cancel = message
        grace = message.grace.seconds + message.grace.nanos / 1e9
        if self._shim is not None:
            self._shim.cancel(grace, message.reason)
        self._stop.set()

    def lose(self) -> None:
        """The broker has given it to somebody else, or away: kill it, and never report on it again."""
        self._lost.set()
        if self._shim is not None:
            self._shim.cancel(_LOST_GRACE, 0)
        self._stop.set()

    def renew(self, sent_at: float) -> None:
        """The broker has acknowledged a heartbeat that was sent at this second of CLOCK_BOOTTIME."""
        # A term that is too short was refused when it was offered. What was accepted is obeyed, also where the period
        # has grown since: the broker gives the work away by these terms and no others.
        term = lease_seconds(self._assignment.lease)
        if term is not None and term > 0:
            self._stop_at = sent_at + term
            self._renewed.set()
            if self._shim is not None:
                self._shim.renew(self._stop_at)

    async def run(self) -> None:
        """Until nothing of it is left here: run it, report the end, deliver its data, delete its folder.

        A cancelled `run` leaves the user's process and the courier alone: the next agent of this state folder goes on.
        """
        try:
            held = self._shop.journal.find(self.ref)
            if held is not None and not held.phase.terminal:
                await self._conclude(await self._work_safely())
            await self._deliver_rest()
        finally:
            await self._delivery.stop(kill=self._lost.is_set())
        await self._shop.journal.forget(self.ref)
        await asyncio.to_thread(self._folder.remove)

    async def _work_safely(self) -> Ending:
        """A fault of ours or of this machine's disk ends one attempt, not the agent."""
        try:
            return await self._work()
        except Exception as error:
            text = f"the agent could not go on with this attempt: {type(error).__name__}: {error}"
            self._tell("fault", text, "error", traceback=traceback.format_exc())
            if self._shim is not None:
                self._shim.cancel(_LOST_GRACE, 0)
                await self._shim.end()
            return Ending(Phase.FAILED, INFRASTRUCTURE, text)

    async def _work(self) -> Ending:
        self._folder.make()
        limits = self._shop.limits
        info = layout.RunInfo(
            self.ref.task_id,
            self.ref.attempt,
            self._shop.api,
            layout.AGENT,
            spool_bytes=limits.spool_bytes,
            all_bytes=limits.all_bytes,
        )
        layout.create(self._folder.spool, info)
        state = read_state(str(self._folder.path))
        if state is None:
            try:
                state = await self._launch()
            except PreparationFailed as error:
                self._console.say(str(error))
                return Ending(Phase.FAILED, error.reason, str(error))
            except ShimFailed as error:
                return Ending(Phase.FAILED, "SHIM_LOST", str(error))
        if state is None:
            return ending.cancelled(self._cancel.reason if self._cancel is not None else 0)
        return await self._watch(state)

    async def _launch(self) -> State | None:
        """Prepare, wait for the broker's word, start. None when it was stopped before that."""
        slow = asyncio.ensure_future(self._tell_when_slow())
        try:
            prepared = await self._until(self._stop, self._prepare())
            if prepared is None:
                return None
            try:
                # Told lost and permitted in one breath: the stop counts.
                if await self._until(self._stop, self._allowed()) is None or self._stop.is_set():
                    return None
                return await self._start(prepared)
            finally:
                prepared.venv.held.release()
        finally:
            slow.cancel()
            await asyncio.wait({slow})

    async def _allowed(self) -> bool:
        """Wait until the broker has stored ACCEPTED and the lease is alive: preparing may take long."""
        await self._permitted.wait()
        while 0 < self._stop_at <= self._shop.clock.boottime():
            self._renewed.clear()
            await self._renewed.wait()
        return True

    async def _prepare(self) -> Prepared:
        begun, failed = self._shop.clock.unix_nanos(), ""
        try:
            spec = await self._shop.reader.read(self._assignment)
            tools = Tools(run_environment.machine(self._shop.env), self._console.say, self._shop.clock)
            return await self._shop.maker.prepare(spec, self._folder, tools)
        except PreparationFailed as error:
            failed = error.reason
            raise
        finally:
            self._trace.prepared(begun, self._shop.clock.unix_nanos(), failed)

    async def _start(self, prepared: Prepared) -> State:
        order = self._order(prepared)
        state = await self._start_warm(prepared, order)
        if state is None:
            state = await self._shop.shims.take().order(order, self._shop.clock)
        if state.phase != CLAIMED:
            return state
        # It found the attempt claimed by a shim that got the same order from an agent before us.
        claimed = read_state(str(self._folder.path))
        if claimed is None:
            raise ShimFailed(state.message or "the shim did not start anything")
        return claimed

    async def _start_warm(self, prepared: Prepared, order: Order) -> State | None:
        """In an interpreter that waits already. None where none does, or it has died just now: should it have claimed
        the attempt before, the next shim will find that."""
        spare = self._shop.warm.take(prepared.venv)
        if spare is None:
            return None
        try:
            return await spare.order(order, self._shop.clock)
        except ShimFailed:
            return None

    def _order(self, prepared: Prepared) -> Order:
        assignment, token = self._assignment, self._assignment.attempt_token
        env = run_environment.run(
            self._shop.env,
            self.ref,
            self._shop.api,
            token,
            self._shop.ca_file,
            self._folder.spool,
            prepared.venv.path,
            list(assignment.gpu_uuids),
            self._trace.of_the_run,
        )
        limit = assignment.time_limit
        grace = assignment.lease.kill_grace
        return Order(
            directory=str(self._folder.path),
            spool=str(self._folder.spool),
            argv=prepared.argv,
            cwd=str(prepared.checkout.cwd),
            env=env,
            hold=[str(prepared.venv.lock)],
            time_limit=limit.seconds + limit.nanos / 1e9,
            stop_at=self._stop_at,
            kill_grace=(grace.seconds + grace.nanos / 1e9) or 30.0,
            spool_bytes=self._shop.limits.spool_bytes,
            all_bytes=self._shop.limits.all_bytes,
        )

    async def _watch(self, state: State) -> Ending:
        """From a process that runs to the end of it."""
        shim = self._shim = RunningShim(self._folder.path, state, self._shop.clock)
        if self._stop_at > 0:
            shim.renew(self._stop_at)
        if self._lost.is_set():
            shim.cancel(_LOST_GRACE, 0)
        elif self._cancel is not None:
            self.cancel(self._cancel)  # it came while the shim was started
        self._delivery.start(_COURIER_DELAY)
        ending_of_shim = asyncio.ensure_future(shim.end())
        try:
            if state.child_pid:
                await self._announce(state, ending_of_shim)
            ended = await ending_of_shim
        finally:
            ending_of_shim.cancel()
        if ended is None:
            left = await asyncio.to_thread(end_stray_processes, self._folder.path, state.group)
            stuck = [(pid, processes.start_of(pid)) for pid in left]
        else:
            stuck = [(each[0], each[1]) for each in ended.unkillable]
        self._shop.health.stuck(f"task {self.ref.task_id}", stuck)
        reason = self._cancel.reason if self._cancel is not None else shim.cancel_reason()
        found = await self._blame(ending.of_state(ended, reason, self._console.last_words()))
        self._trace.ran(state.start_unix_millis, self._shop.clock.unix_nanos(), found)
        return found

    async def _blame(self, found: Ending) -> Ending:
        """A run that failed by itself while its GPU is ill failed because of it."""
        if found.reason not in ending.BY_ITSELF:
            return found
        health = self._shop.health
        await health.look()
        trouble = health.gpu_trouble(self._assignment.gpu_uuids)
        return ending.of_ill_gpu(found, trouble) if trouble else found

    async def _announce(self, state: State, ending_of_shim: asyncio.Future[State | None]) -> None:
        """Report RUNNING: a moment after the start, because what follows from the report would compete with it."""
        with contextlib.suppress(asyncio.TimeoutError):
            await within(self._shop.clock, _HEAD_START, asyncio.shield(ending_of_shim))
        if not self._lost.is_set():
            await self._report(Phase.RUNNING, at_millis=state.start_unix_millis)
            self._tell("started", "accepted and running")

    async def _conclude(self, ended: Ending) -> None:
        """Let the data drain, then report."""
        await self._until(self._lost, self._delivery.finished(_DRAIN_LIMIT))
        if not self._lost.is_set():
            await self._report(ended.phase, ended)
            text = f"ended: {ended.phase.name}" + (f", {ended.message}" if ended.message else "")
            self._tell("ended", text, "ok" if ended.phase is Phase.SUCCEEDED else "warn")

    async def _deliver_rest(self) -> None:
        """Until the broker has stored the end and the server the data, or neither wants them any more."""
        if self._folder.spool.is_dir():
            await self._until(self._lost, self._delivery.finished(_DELIVERY_LIMIT))
        await self._until(self._lost, self._settled.wait())

    async def _tell_when_slow(self) -> None:
        """A preparation that takes its time is seen: its console lines and its phase."""
        await self._shop.clock.sleep(_SLOW)
        self._delivery.start()
        await self._report(Phase.PREPARING)
        self._tell("preparing", "is being prepared")

    async def _report(self, phase: Phase, ended: Ending | None = None, at_millis: int = 0) -> None:
        """Put a report into the journal; the session sends it. `at_millis`: when it happened; 0 is now."""
        message = agents.AssignmentReport(ref=self.ref.message(), phase=int(phase))  # type: ignore[arg-type]
        message.event_time.FromMilliseconds(at_millis or self._shop.clock.unix_millis())
        if ended is not None:
            if ended.exit_code is not None:
                message.exit_code = ended.exit_code
            if ended.signal is not None:
                message.signal = ended.signal
            status = ended.status()
            if status is not None:
                message.reason.CopyFrom(status)
            message.tails.extend(await asyncio.to_thread(self._delivery.ends))
        await self._keep(message)

    async def _keep(self, report: agents.AssignmentReport) -> None:
        """Put it into the journal; a disk that is full or away is waited for."""
        backoff = Backoff(self._shop.ids, first=0.5, limit=_JOURNAL_TRIES)
        while not await self._try_to_keep(report, last=backoff.tries == _JOURNAL_TRIES):
            await self._shop.clock.sleep(backoff.next())

    async def _try_to_keep(self, report: agents.AssignmentReport, *, last: bool) -> bool:
        try:
            await self._shop.journal.report(report)
        except sqlite3.OperationalError as error:
            self._tell("journal", f"cannot be reported on: the journal cannot be written: {error}", "error")
            if last:
                raise
            return False
        return True

    def _tell(self, kind: str, text: str, level: str = "info", **facts: object) -> None:
        name = f"task {self.ref.task_id} (attempt {self.ref.attempt})"
        facts.update(task_id=self.ref.task_id, attempt=self.ref.attempt)
        self._shop.printer.event(kind, f"{name} {text}", level, **facts)

    async def _until(self, event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
        """What `work` returns, or None when `event` comes first; `work` is then cancelled and has ended."""
        doing: asyncio.Task[T] = asyncio.ensure_future(work)
        waiting = asyncio.ensure_future(event.wait())
        both: set[asyncio.Future[Any]] = {doing, waiting}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            return doing.result() if doing.done() else None
        finally:
            for each in both:
                each.cancel()
            await asyncio.wait(both)
