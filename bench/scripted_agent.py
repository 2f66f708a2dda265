"""A broker's agent without work: speaks the session, takes every assignment, and says when each one arrived.

`python -m bench.scripted_agent DISPATCH_ENDPOINT QUEUE_ID` with the agent's token in BENCH_TOKEN. Prints `ready` after
Welcome, then `TASK_ID NANOSECONDS` per assignment, stamped before it answers. Each assignment is then accepted, run and
ended, every report acknowledged by the broker, so that the broker does all its work. Ends when stdin closes.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from batuta_proto.agents import v1 as agents
from batuta_proto.types import v1 as types
from batuta_rpc.auth import StaticToken
from batuta_rpc.channel import open_aio
from batuta_rpc.clock import SystemClock
from batuta_rpc.ids import SystemIds
from bench import measure

PLACES = 100
"""More than ever wait at once: what is measured is never short of credit."""
RUN = (types.ATTEMPT_PHASE_ACCEPTED, types.ATTEMPT_PHASE_RUNNING, types.ATTEMPT_PHASE_SUCCEEDED)


class ScriptedAgent:
    """One session from Hello to the end of stdin."""

    def __init__(self, call: Any, queue_id: str) -> None:
        self._call = call
        self._queue_id = queue_id
        self._sending = asyncio.Lock()
        self._reports = 0
        self._phases: dict[tuple[str, int], types.AttemptPhase] = {}
        self._acked_at: dict[int, tuple[str, int]] = {}

    async def run(self) -> None:
        """Say Hello, then answer whatever comes."""
        ids = SystemIds()
        hello = agents.Hello(
            agent_id="bench",
            instance_id=ids.request_id(),
            journal_id=ids.request_id(),
            boot_id=ids.request_id(),
            max_assignments=PLACES,
            queue_ids=[self._queue_id],
            host="bench",
        )
        await self._send(agents.SessionRequest(hello=hello))
        welcome = (await self._call.read()).welcome
        print("ready", flush=True)
        async with asyncio.TaskGroup() as group:
            beats = group.create_task(self._beat(welcome.heartbeat_period.ToTimedelta().total_seconds()))
            await self._listen()
            beats.cancel()

    async def _listen(self) -> None:
        while response := await self._call.read():
            arrived = measure.now_ns()
            case = response.WhichOneof("message")
            if case == "assignment":
                ref = response.assignment.ref
                print(ref.task_id, arrived, flush=True)
                await self._report(ref.task_id, ref.attempt, RUN[0])
            elif case == "report_ack":
                for number in [known for known in self._acked_at if known <= response.report_ack.report_number]:
                    await self._go_on(*self._acked_at.pop(number))

    async def _go_on(self, task_id: str, attempt: int) -> None:
        phase = self._phases[task_id, attempt]
        if phase == RUN[-1]:
            del self._phases[task_id, attempt]
        else:
            await self._report(task_id, attempt, RUN[RUN.index(phase) + 1])

    async def _report(self, task_id: str, attempt: int, phase: types.AttemptPhase) -> None:
        self._reports += 1
        self._phases[task_id, attempt] = phase
        self._acked_at[self._reports] = (task_id, attempt)
        report = agents.AssignmentReport(
            report_number=self._reports, ref=agents.AssignmentRef(task_id=task_id, attempt=attempt), phase=phase
        )
        await self._send(agents.SessionRequest(report=report))

    async def _beat(self, period: float) -> None:
        clock = SystemClock()
        number = 0
        while True:
            await clock.sleep(period)
            number += 1
            held = [
                agents.HeldAssignment(ref=agents.AssignmentRef(task_id=task_id, attempt=attempt), phase=phase)
                for (task_id, attempt), phase in self._phases.items()
            ]
            beat = agents.Heartbeat(heartbeat_number=number, held=held, free_assignments=PLACES - len(held))
            await self._send(agents.SessionRequest(heartbeat=beat))

    async def _send(self, request: agents.SessionRequest) -> None:
        async with self._sending:
            await self._call.write(request)


async def main(endpoint: str, queue_id: str) -> None:
    """Run one session until stdin closes."""
    channel = open_aio(endpoint, StaticToken(os.environ["BENCH_TOKEN"]), "bench", dispatch=True)
    call = agents.DispatchServiceStub(channel).Session()
    session = asyncio.ensure_future(ScriptedAgent(call, queue_id).run())
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await asyncio.wait({session, ended}, return_when=asyncio.FIRST_COMPLETED)
    if session.done():
        session.result()
        raise SystemExit("the broker ended the session")
    session.cancel()
    await asyncio.wait({session})
    await channel.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
