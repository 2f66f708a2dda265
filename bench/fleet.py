"""Many agents in one process, each with a connection of its own: they beat, send telemetry, and take assignments.

`python -m bench.fleet DISPATCH_ENDPOINT QUEUE_ID NAME COUNT PLACES` with an agent's token in BENCH_TOKEN. Prints
`ready` when all have their Welcome. Then answers lines of stdin: `count N` waits until N assignments have come since
the last such line and prints `NANOSECONDS` (when the last of them came); `beats` prints `COUNT P50 P99` of the round
trips of heartbeats since the last such line, in nanoseconds. Assignments are neither accepted nor run: they fill the
places. Ends when stdin closes.
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

GPUS = 8
AT_ONCE = 50
"""Connections that are made side by side: a fleet joins, it does not storm."""


class Tally:
    """What all agents of the process saw."""

    def __init__(self) -> None:
        self.assignments = 0
        self.last_at = 0
        self.round_trips: list[int] = []
        self.changed = asyncio.Event()

    def assigned(self) -> None:
        """One more assignment has come."""
        self.assignments += 1
        self.last_at = measure.now_ns()
        self.changed.set()


class Member:
    """One agent of the fleet."""

    def __init__(self, name: str, queue_id: str, places: int, tally: Tally, ids: SystemIds) -> None:
        self._hello = agents.Hello(
            agent_id=name,
            instance_id=ids.request_id(),
            journal_id=ids.request_id(),
            boot_id=ids.request_id(),
            max_assignments=places,
            queue_ids=[queue_id],
            host=name,
        )
        self._tally = tally
        self._places = places
        self._held: list[agents.HeldAssignment] = []
        self._sent: dict[int, int] = {}
        self._telemetry = _telemetry(name)

    async def join(self, endpoint: str, token: StaticToken) -> None:
        """Open a connection and say Hello."""
        self._channel = open_aio(endpoint, token, "bench", dispatch=True)
        self._call: Any = agents.DispatchServiceStub(self._channel).Session()
        await self._call.write(agents.SessionRequest(hello=self._hello))
        welcome = (await self._call.read()).welcome
        self._period = welcome.heartbeat_period.ToTimedelta().total_seconds()

    async def live(self) -> None:
        """Beat and listen until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._beat())

    async def _listen(self) -> None:
        while response := await self._call.read():
            case = response.WhichOneof("message")
            if case == "assignment":
                held = agents.HeldAssignment(ref=response.assignment.ref, phase=types.ATTEMPT_PHASE_ACCEPTED)
                self._held.append(held)
                self._tally.assigned()
            elif case == "heartbeat_ack":
                sent = self._sent.pop(response.heartbeat_ack.heartbeat_number, None)
                self._period = response.heartbeat_ack.heartbeat_period.ToTimedelta().total_seconds()
                if sent is not None:
                    self._tally.round_trips.append(measure.now_ns() - sent)

    async def _beat(self) -> None:
        clock, number = SystemClock(), 0
        # Spread over one period, as the beats of machines that started at different times are.
        await clock.sleep(SystemIds().uniform(0, self._period))
        while True:
            number += 1
            free = self._places - len(self._held)
            beat = agents.Heartbeat(heartbeat_number=number, held=self._held, free_assignments=free)
            self._sent[number] = measure.now_ns()
            await self._call.write(agents.SessionRequest(heartbeat=beat))
            await self._call.write(self._telemetry)
            await clock.sleep(self._period)


def _telemetry(name: str) -> agents.SessionRequest:
    sample = agents.TelemetrySample(
        time_unix_millis=1_700_000_000_000,
        host=agents.HostSample(cpu_percent=42.0, memory_used_bytes=1 << 35, memory_total_bytes=1 << 40),
        gpus=[
            agents.GpuSample(
                uuid=f"GPU-{name}-{index}",
                utilization_percent=87,
                memory_used_bytes=60 << 30,
                memory_total_bytes=80 << 30,
                power_milliwatts=612_000,
                temperature_celsius=61,
            )
            for index in range(GPUS)
        ],
    )
    return agents.SessionRequest(telemetry=agents.Telemetry(sample=sample))


async def _join_all(members: list[Member], endpoint: str, token: StaticToken) -> None:
    waiting = iter(members)

    async def join() -> None:
        for member in waiting:
            await member.join(endpoint, token)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(join())


async def _answer(line: str, tally: Tally) -> str:
    word, _, rest = line.partition(" ")
    if word == "count":
        while tally.assignments < int(rest):
            tally.changed.clear()
            await tally.changed.wait()
        tally.assignments -= int(rest)
        return str(tally.last_at)
    times, tally.round_trips = tally.round_trips, []
    spread = measure.spread(times)
    return f"{spread.count} {spread.p50} {spread.p99}"


async def main(endpoint: str, queue_id: str, name: str, count: int, places: int) -> None:
    """Run the fleet until stdin closes."""
    tally, ids = Tally(), SystemIds()
    members = [Member(f"{name}-{number}", queue_id, places, tally, ids) for number in range(count)]
    await _join_all(members, endpoint, StaticToken(os.environ["BENCH_TOKEN"]))
    living = [asyncio.ensure_future(member.live()) for member in members]
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(await _answer(line.strip(), tally), flush=True)
    for each in living:
        each.cancel()
    await asyncio.wait(living)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
