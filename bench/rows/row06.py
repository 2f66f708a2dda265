"""Row 6: a broker process with 1,000, 5,000 and 10,000 agents that beat and send the telemetry of eight GPUs each.

Two processes hold the fleet, one connection per agent. While it beats, tasks go one by one to one more agent, which
serves a queue of its own: its assignments show what the fleet costs everybody else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from batuta_proto.queues import v1 as queues
from batuta_rpc.auth import StaticToken
from batuta_rpc.channel import open_sync
from batuta_rpc.ids import SystemIds
from bench import measure
from bench.children import Child
from bench.plan import Plan
from bench.report import Line, millis, number
from bench.stack import Stack

SIZES = (1_000, 5_000, 10_000)
QUICK_SIZES = (20,)
HOLD = 60.0
"""Seconds for which each fleet is watched; `--rounds` does not change it."""
QUICK_HOLD = 7.0
GAP = (0.05, 0.25)
PROCESSES = 2
GOALS = (600.0, 40.0, 10.0)
"""For the largest fleet: MiB of memory, % of a core, milliseconds of an assignment's p99."""


@dataclass(frozen=True)
class _Seen:
    """What one fleet cost."""

    memory_mib: float
    core_percent: float
    assignments: measure.Spread
    beats: int
    beat_p50: int
    beat_p99: int
    joined_in: float


def run(plan: Plan) -> list[Line]:
    """Memory, CPU and latencies of each size of fleet."""
    sizes = QUICK_SIZES if plan.quick else SIZES
    return [
        line for size in sizes for line in _of_size(plan, size, GOALS if size == max(sizes) else (None, None, None))
    ]


def _of_size(plan: Plan, size: int, goals: tuple[float | None, float | None, float | None]) -> list[Line]:
    folder = plan.scratch / f"row06-{size}"
    with Stack(folder, services=("queue",)) as stack, contextlib.ExitStack() as fleet:
        plan.progress(f"row 6, {size:,} agents join")
        seen = _watch(plan, stack, fleet, size)
    memory, core, late = goals
    who = f"{size:,} agents"
    joined = f"joined in {seen.joined_in:.0f} s, {number(size / seen.joined_in)} a second"
    beats = f"{seen.beats:,} heartbeats, round trip p50 {millis(seen.beat_p50)}, p99 {millis(seen.beat_p99)}"
    p50 = f"p50 {millis(seen.assignments.p50)}"
    return [
        Line(6, f"{who}: memory of the broker", seen.memory_mib, "MiB", memory, joined),
        Line(6, f"{who}: share of a core", seen.core_percent, "%", core, beats),
        Line(6, f"{who}: SubmitEntry → assignment, p99", seen.assignments.p99 / 1e6, "ms", late, p50),
    ]


def _watch(plan: Plan, stack: Stack, fleet: contextlib.ExitStack, size: int) -> _Seen:
    token = {"BENCH_TOKEN": stack.token("agent:bench", "agent")}
    channel = fleet.enter_context(
        open_sync(stack.queue_endpoint, StaticToken(stack.token("service:bench", "service")), "bench")
    )
    stub = queues.QueueServiceStub(channel)
    theirs = stub.GetQueue(queues.GetQueueRequest(display_name="services")).queue.id
    probed = stub.GetQueue(queues.GetQueueRequest(display_name="default")).queue.id
    start = measure.now_ns()
    members = [
        Child(
            "bench.fleet",
            [stack.queue_endpoint, theirs, f"fleet-{number}", str(size // PROCESSES), "8"],
            stack.log("fleet"),
            token,
        )
        for number in range(PROCESSES)
    ]
    for member in members:
        fleet.callback(member.stop)
        member.line(300)
    joined_in = (measure.now_ns() - start) / 1e9
    probe = fleet.enter_context(
        Child("bench.scripted_agent", [stack.queue_endpoint, probed], stack.log("probe"), token)
    )
    probe.line()
    measure.pause(1.0 if plan.quick else 12.0)  # until what the joining stirred up has settled
    plan.progress(f"row 6, {size:,} agents beat")
    for member in members:
        member.send("beats")
        member.line()
    used, start = stack.queue.cpu_seconds(), measure.now_ns()
    times = _probe(plan, lambda task_id: stub.SubmitEntry(_request(probed, task_id)), probe)
    elapsed = (measure.now_ns() - start) / 1e9
    cpu = stack.queue.cpu_seconds() - used
    told: list[list[int]] = []
    for member in members:
        member.send("beats")
        told.append([int(word) for word in member.line().split()])
    counts, p50s, p99s = zip(*told, strict=True)
    return _Seen(
        measure.memory_bytes(stack.queue.pid) / 2**20,
        100 * cpu / elapsed,
        measure.spread(times),
        sum(counts),
        max(p50s),
        max(p99s),
        joined_in,
    )


def _probe(plan: Plan, submit: Callable[[str], object], probe: Child) -> list[int]:
    times: list[int] = []
    ids = SystemIds()
    end = measure.now_ns() + int((QUICK_HOLD if plan.quick else HOLD) * 1e9)
    for _ in measure.gaps(1_000_000, plan.seed, GAP):
        if measure.now_ns() > end:
            break
        task_id = ids.new_id()
        start = measure.now_ns()
        submit(task_id)
        times.append(int(probe.line().partition(" ")[2]) - start)
    return times


def _request(queue_id: str, task_id: str) -> queues.SubmitEntryRequest:
    envelope = queues.SchedulingEnvelope(queue_id=queue_id, task_id=task_id)
    return queues.SubmitEntryRequest(entry_id=SystemIds().new_id(), envelope=envelope)
