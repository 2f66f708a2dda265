"""Agents without machines: they speak the session, run nothing, and note what they ran."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from batuta_agent.brokers import Brokers
from batuta_proto.agents import v1 as agents
from batuta_proto.types import v1 as types
from batuta_queue.testing_agent import FakeAgent
from batuta_rpc.auth import TokenSource
from batuta_rpc.channel import open_aio
from batuta_rpc.clock import SystemClock
from batuta_rpc.errors import RpcError
from batuta_rpc.ids import SystemIds

Ref = tuple[str, int]
_BEAT = 2.0


class Worker:
    """One agent: it goes to the next broker when one is gone, and says again what was not acknowledged."""

    def __init__(
        self, agent_id: str, endpoints: Sequence[str], tokens: TokenSource, queue_id: str, slots: int = 1
    ) -> None:
        self.agent_id = agent_id
        self.ran: Counter[Ref] = Counter()
        self.welcomes: list[float] = []
        self.connected_to = ""
        self.told_lost: list[Ref] = []
        self._brokers = Brokers(",".join(endpoints), SystemIds())
        self._tokens = tokens
        self._queue_id = queue_id
        self._slots = slots
        self._clock = SystemClock()
        self._held: dict[Ref, types.AttemptPhase] = {}
        self._unsaid: list[agents.AssignmentReport] = []
        self._number = 0
        # A stream of gRPC takes one message at a time, and of two that are written at once one is never sent.
        self._writing = asyncio.Lock()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            channel = open_aio(self._brokers.current, self._tokens, "test", dispatch=True)
            lived = False
            try:
                agent = FakeAgent(channel, [self._queue_id], self.agent_id, max_assignments=self._slots, patience=15.0)
                agent.held, agent.report_number = self._held, self._number
                await self._greet(agent)
                lived, self.connected_to = True, self._brokers.current
                await self._serve(agent)
            except (RpcError, EOFError, TimeoutError, asyncio.InvalidStateError):
                pass
            finally:
                self.connected_to = ""
                await channel.close()
            if lived:
                self._brokers.served()
            elif not self._brokers.failed():
                await self._clock.sleep(0.3)

    async def _greet(self, agent: FakeAgent) -> None:
        welcome = await agent.connect()
        self.welcomes.append(self._clock.monotonic())
        expected = {_ref(each.ref) for each in welcome.expected}
        self._unsaid = [each for each in self._unsaid if each.report_number > welcome.report_number]
        self._number = max(self._number, welcome.report_number)
        for ref in list(self._held):
            if ref not in expected and not any(_ref(each.ref) == ref for each in self._unsaid):
                del self._held[ref]
        for each in self._unsaid:
            await agent.send(agents.SessionRequest(report=each))
        for ref in expected & self._held.keys():
            await self._finish(agent, ref)

    async def _serve(self, agent: FakeAgent) -> None:
        beats = asyncio.create_task(self._beat(agent))
        try:
            while True:
                await self._obey(agent, await agent.next_of_any_kind())
        finally:
            beats.cancel()
            await asyncio.gather(beats, return_exceptions=True)

    async def _beat(self, agent: FakeAgent) -> None:
        number = 0
        while True:
            number += 1
            async with self._writing:  # what is held, as of the reports before it
                running = sum(1 for phase in self._held.values() if phase < types.ATTEMPT_PHASE_SUCCEEDED)
                held = [
                    agents.HeldAssignment(ref=agents.AssignmentRef(task_id=task_id, attempt=attempt), phase=phase)
                    for (task_id, attempt), phase in self._held.items()
                ]
                beat = agents.Heartbeat(heartbeat_number=number, held=held, free_assignments=self._slots - running)
                await agent.send(agents.SessionRequest(heartbeat=beat))
            await self._clock.sleep(_BEAT)

    async def _obey(self, agent: FakeAgent, message: agents.SessionResponse) -> None:
        kind = message.WhichOneof("message")
        if kind == "assignment":
            ref = _ref(message.assignment.ref)
            self._held[ref] = types.ATTEMPT_PHASE_ACCEPTED
            await self._report(agent, ref, types.ATTEMPT_PHASE_ACCEPTED)
        elif kind == "report_ack":
            await self._acknowledged(agent, message.report_ack.report_number)
        elif kind == "heartbeat_ack":
            for each in message.heartbeat_ack.lost:
                ref = _ref(each)
                if self._held.pop(ref, None) is not None:
                    self.told_lost.append(ref)
                self._unsaid = [said for said in self._unsaid if _ref(said.ref) != ref]
        elif kind == "disconnect":
            raise EOFError("sent away")

    async def _acknowledged(self, agent: FakeAgent, number: int) -> None:
        stored = [each for each in self._unsaid if each.report_number <= number]
        self._unsaid = [each for each in self._unsaid if each.report_number > number]
        for each in stored:
            ref = _ref(each.ref)
            if each.phase >= types.ATTEMPT_PHASE_SUCCEEDED:
                self._held.pop(ref, None)
            elif ref in self._held:
                await self._finish(agent, ref)

    async def _finish(self, agent: FakeAgent, ref: Ref) -> None:
        """The user's code, which takes no time. Whoever saw it accepted runs it, once for each attempt."""
        if self._held[ref] >= types.ATTEMPT_PHASE_SUCCEEDED:
            return
        self.ran[ref] += 1
        self._held[ref] = types.ATTEMPT_PHASE_SUCCEEDED
        await self._report(agent, ref, types.ATTEMPT_PHASE_SUCCEEDED)

    async def _report(self, agent: FakeAgent, ref: Ref, phase: types.AttemptPhase) -> None:
        self._number += 1
        told = agents.AssignmentReport(
            report_number=self._number, ref=agents.AssignmentRef(task_id=ref[0], attempt=ref[1]), phase=phase
        )
        self._unsaid.append(told)
        async with self._writing:
            await agent.send(agents.SessionRequest(report=told))


def _ref(ref: Any) -> Ref:
    return ref.task_id, ref.attempt
