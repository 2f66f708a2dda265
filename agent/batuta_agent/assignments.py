"""All that the agent has in its hands, and the rules by which the broker's words change it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

from batuta_agent.attempt import Attempt, lease_seconds
from batuta_agent.folders import StateFolder
from batuta_agent.model import Ending, Held, Phase, Ref
from batuta_agent.workshop import Workshop
from batuta_proto.agents import v1 as agents


class Assignments:
    """The attempts of one agent. Everything that was accepted is in the journal first."""

    def __init__(self, folder: StateFolder, workshop: Workshop, limit: int) -> None:
        """`limit`: how many assignments are taken at once."""
        self.limit = limit
        self.drained = False
        """The broker's word that nothing new is to be taken. It follows every Welcome for as long as it stands."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when a place has become free."""
        self._folder = folder
        self._shop = workshop
        self._attempts: dict[Ref, Attempt] = {}
        self._running: dict[Ref, asyncio.Task[None]] = {}
        self._renewed = (0.0, 0.0)
        self._leaving = False
        workshop.health.on_change = lambda: self.on_change()

    @property
    def draining(self) -> bool:
        """Whether nothing new is taken, by the broker's word or because this agent leaves."""
        return self.drained or self._leaving

    @property
    def unhealthy(self) -> str:
        """Why nothing new is taken though nobody drains this agent; empty when it is well."""
        return self._shop.health.reason

    def resume(self) -> None:
        """Go on with everything that the journal of an agent before us holds; delete folders it knows nothing of."""
        known = {str(held.ref) for held in self._shop.journal.held()}
        for folder in self._folder.attempts():
            if folder.path.name not in known:
                folder.remove()
        for held in self._shop.journal.held():
            # What the broker said to the agent before us may no longer hold: what has not started waits for Welcome.
            self._begin(replace(held, accepted=False))

    def held(self) -> list[agents.HeldAssignment]:
        """Everything in hand, ended but unacknowledged included."""
        return [
            agents.HeldAssignment(ref=each.ref.message(), phase=int(each.phase))  # type: ignore[arg-type]
            for each in self._shop.journal.held()
            if not each.settled
        ]

    def free(self) -> int:
        """How many more assignments are taken now."""
        busy = sum(1 for each in self._shop.journal.held() if not each.phase.terminal)
        return 0 if self.draining or self.unhealthy else max(0, self.limit - busy)

    async def offer(self, assignment: agents.Assignment) -> None:
        """Accept or reject; the answer is in the journal when this returns. A repeated offer changes nothing."""
        ref = Ref.of(assignment.ref)
        if self._shop.journal.find(ref) is not None:
            return
        report = agents.AssignmentReport(ref=ref.message(), phase=int(Phase.ACCEPTED))  # type: ignore[arg-type]
        report.event_time.FromDatetime(self._shop.clock.now())
        refusal = self._refusal(assignment)
        if refusal is not None:
            await self._reject(report, *refusal)
            return
        await self._shop.journal.accept(assignment, report)
        self._begin(Held(ref, assignment))

    async def expect(self, expected: Iterable[agents.Assignment]) -> None:
        """The broker's whole list: start what is missing here, stop what it does not know, permit the rest."""
        wanted = {Ref.of(each.ref): each for each in expected}
        for held in self._shop.journal.held():
            if held.settled:
                continue
            if held.ref in wanted:
                permitted = self._shop.journal.permit(held.ref)
                if permitted is not None:
                    self._update(permitted)
            else:
                self._lose(held.ref)
        for assignment in wanted.values():
            await self.offer(assignment)

    def cancel(self, message: agents.Cancel) -> None:
        """Stop one; what is not here needs no stopping."""
        attempt = self._attempts.get(Ref.of(message.ref))
        if attempt is not None:
            attempt.cancel(message)

    def lost(self, refs: Iterable[agents.AssignmentRef]) -> None:
        """Kill these, and never report on them again."""
        for ref in refs:
            self._lose(Ref.of(ref))

    def acknowledge(self, number: int) -> None:
        """The broker has stored every report up to `number`."""
        changed = self._shop.journal.acknowledge(number)
        for held in changed:
            self._update(held)
        if any(held.settled for held in changed):
            self.on_change()

    def renew(self, sent_at: float, period: float) -> None:
        """The broker has acknowledged what was sent at this second of CLOCK_BOOTTIME. `period`: of heartbeats."""
        self._renewed = (sent_at, period)
        for attempt in self._attempts.values():
            attempt.renew(sent_at)

    async def close(self) -> None:
        """Stop looking after everything; the processes themselves go on."""
        for task in self._running.values():
            task.cancel()
        if self._running:
            await asyncio.wait(self._running.values())

    async def stop_all(self, grace: float) -> None:
        """Cancel every attempt and wait until each is reported and delivered."""
        self._leaving = True
        for ref, attempt in self._attempts.items():
            message = agents.Cancel(ref=ref.message(), reason=agents.CANCEL_REASON_USER)
            message.grace.FromNanoseconds(int(grace * 1e9))
            attempt.cancel(message)
        while self._running:
            await asyncio.wait(self._running.values())

    def _refusal(self, assignment: agents.Assignment) -> tuple[str, str] | None:
        """Why this one is not taken: a word for programs and a sentence for people."""
        period = self._renewed[1]
        term = lease_seconds(assignment.lease)
        if term is not None and term < 2 * period:
            text = (
                f"its lease leaves {term:.1f} s after what is kept back for the kill, less than two heartbeats of "
                f"{period:g} s: raise lost_after, or lower kill_grace, of its queue"
            )
            return "LEASE_TOO_SHORT", text
        if self.unhealthy:
            return "AGENT_UNHEALTHY", self.unhealthy
        if self.draining:
            return "AGENT_BUSY", "the agent is draining"
        return ("AGENT_BUSY", f"all {self.limit} places are taken") if self.free() == 0 else None

    async def _reject(self, report: agents.AssignmentReport, reason: str, why: str) -> None:
        report.phase = int(Phase.REJECTED)  # type: ignore[assignment]
        status = Ending(Phase.REJECTED, reason, why).status()
        if status is not None:
            report.reason.CopyFrom(status)
        await self._shop.journal.report(report)

    def _update(self, held: Held) -> None:
        attempt = self._attempts.get(held.ref)
        if attempt is not None:
            attempt.update(held)

    def _lose(self, ref: Ref) -> None:
        attempt = self._attempts.get(ref)
        if attempt is not None:
            text = f"task {ref.task_id} (attempt {ref.attempt}) is no longer ours; its process is stopped"
            self._shop.printer.event("lost", text, "warn", task_id=ref.task_id, attempt=ref.attempt)
            attempt.lose()

    def _begin(self, held: Held) -> None:
        attempt = Attempt(held, self._folder.attempt(held.ref), self._shop)
        if self._renewed[0] > 0:
            attempt.renew(self._renewed[0])
        self._attempts[held.ref] = attempt
        task = self._running[held.ref] = asyncio.ensure_future(attempt.run())
        task.add_done_callback(lambda done: self._ended(held.ref, done))

    def _ended(self, ref: Ref, task: asyncio.Task[None]) -> None:
        self._attempts.pop(ref, None)
        self._running.pop(ref, None)
        if not task.cancelled() and task.exception() is not None:
            self._shop.printer.event("fault", f"task {ref.task_id}: {task.exception()!r}", "error", task_id=ref.task_id)
        self.on_change()
