"""Row 1: a durable submit until its assignment is in a waiting agent's hands.

Both services and the agent are processes of their own, with tokens, validation and leases. One task at a time, after a
random gap, straight at the queue service (SubmitEntry) and through the API and its outbox (EnqueueTask), on SQLite and
on PostgreSQL. Beside it: the least that such a way costs, a unary call, a durable append and half a round trip on a
stream; and other task queues, from the call until the job begins.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc

from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.auth import StaticToken
from batuta_rpc.channel import open_sync
from batuta_rpc.ids import SystemIds
from bench import limits, measure, peers
from bench.children import Child
from bench.measure import Rounds, Sample, Side
from bench.plan import Plan
from bench.report import Line, millis, number
from bench.stack import STORES, Stack
from bench.through import admin

TASKS = 1_000
QUICK = 20
AWAKE = (0.008, 0.012)
"""Pauses (seconds) in which all work for the last task ends but no core falls into a deep sleep."""
MEDIA_TYPE = "application/x-protobuf;type=batuta.tasks.v1.Task"
Call = tuple[str, Callable[[], object]]
"""A task's id, and what brings it on its way."""
SPEC = tasks.TaskSpec(source=tasks.Source(script="print('hello')\n" * 100, entry_point="hello.py"))


@dataclass(frozen=True)
class _Way:
    """A deployment on one store, with an agent that waits, and the two ways to it."""

    store: str
    stack: Stack
    agent: Child
    submit: Callable[[int], list[Call]]
    enqueue: Callable[[int], list[Call]]

    def sides(self, count: int, seed: int) -> dict[str, Side]:
        """What is measured on this store."""
        queue, both = self.stack.queue.cpu_seconds, self.stack.cpu_seconds
        return {
            f"{self.store}, submit": lambda: _deliver(self.submit(count), self.agent, queue, seed),
            f"{self.store}, submit awake": lambda: _deliver(self.submit(count), self.agent, queue, seed, AWAKE),
            f"{self.store}, enqueue": lambda: _deliver(self.enqueue(count), self.agent, both, seed),
            f"{self.store}, enqueue awake": lambda: _deliver(self.enqueue(count), self.agent, both, seed, AWAKE),
        }


def run(plan: Plan) -> list[Line]:
    """p50 and p99 over all tasks of all rounds; ratios from the medians of each round."""
    folder = plan.scratch / "row01"
    with contextlib.ExitStack() as started:
        ways = [_way(started, folder / store, store) for store in STORES]
        others = started.enter_context(peers.running(folder / "peers"))
        return _lines(_measure(plan, ways, others))


def _way(started: contextlib.ExitStack, folder: Path, store: str) -> _Way:
    stack = started.enter_context(Stack(folder, store))
    channel = started.enter_context(open_sync(stack.queue_endpoint, _service(stack), "bench"))
    api = started.enter_context(open_sync(stack.api_endpoint, admin(stack), "bench"))
    queue = queues.QueueServiceStub(channel)
    queue_id = queue.GetQueue(queues.GetQueueRequest(display_name="default")).queue.id
    token = {"BENCH_TOKEN": stack.token("agent:bench", "agent")}
    agent = started.enter_context(
        Child("bench.scripted_agent", [stack.queue_endpoint, queue_id], stack.log("agent"), token)
    )
    agent.line()
    way = _Way(store, stack, agent, _submit(queue, queue_id), _enqueue(api, queue_id))
    _deliver(way.submit(10), agent, stack.queue.cpu_seconds, 0)  # warm
    _deliver(way.enqueue(10), agent, stack.cpu_seconds, 0)
    return way


def _service(stack: Stack) -> StaticToken:
    return StaticToken(stack.token("service:bench", "service"))


def _measure(plan: Plan, ways: list[_Way], others: list[peers.Peer]) -> Rounds:
    count = plan.count(TASKS, QUICK)
    echo = limits.Echo(ways[0].stack.log("echo"))
    sides: dict[str, Side] = {
        "unary": lambda: echo.unary(count, plan.seed),
        "append": lambda: limits.durable_append(_made(plan.scratch / "append"), count, plan.seed),
        "stream": lambda: echo.stream(count, plan.seed),
    }
    for way in ways:
        sides |= way.sides(count, plan.seed)
    for peer in others:
        sides[peer.kind.name] = partial(peer.latency, count, plan.seed)
    try:
        return measure.take_turns(plan.rounds, sides, lambda text: plan.progress(f"row 1, {text}"))
    finally:
        echo.close()


def _submit(queue: queues.QueueServiceStub, queue_id: str) -> Callable[[int], list[Call]]:
    ids = SystemIds()

    def one() -> Call:
        task_id = ids.new_id()
        request = queues.SubmitEntryRequest(
            entry_id=ids.new_id(),
            envelope=queues.SchedulingEnvelope(queue_id=queue_id, task_id=task_id),
            payload=tasks.Task(id=task_id, spec=SPEC).SerializeToString(),
            payload_media_type=MEDIA_TYPE,
        )
        return task_id, lambda: queue.SubmitEntry(request)

    return lambda count: [one() for _ in range(count)]


def _enqueue(channel: grpc.Channel, queue_id: str) -> Callable[[int], list[Call]]:
    api = tasks.TaskServiceStub(channel)
    ids = SystemIds()

    def one() -> Call:
        made = api.CreateTask(tasks.CreateTaskRequest(project_name="bench", display_name="row 1", spec=SPEC)).task
        request = tasks.EnqueueTaskRequest(task_id=made.id, queue_id=queue_id, request_id=ids.request_id())
        return made.id, lambda: api.EnqueueTask(request)

    return lambda count: [one() for _ in range(count)]


def _deliver(
    calls: list[Call], agent: Child, cpu: Callable[[], float], seed: int, gap: tuple[float, float] = measure.GAP
) -> Sample:
    """Make each call and wait until the agent says that it has that task. CPU is the services'."""
    times: list[int] = []
    used = cpu()
    for (task_id, call), _ in zip(calls, measure.gaps(len(calls), seed, gap), strict=True):
        start = measure.now_ns()
        call()
        arrived_id, _, stamp = agent.line().partition(" ")
        if arrived_id != task_id:
            raise RuntimeError(f"the agent got {arrived_id} when {task_id} was sent: something was assigned twice")
        times.append(int(stamp) - start)
    return measure.sample(times, cpu() - used)


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _lines(results: Rounds) -> list[Line]:
    floors = _Floor(results, calls=1), _Floor(results, calls=2)
    lines: list[Line] = []
    for store in STORES:
        submit, enqueue = f"SubmitEntry → assignment, {store}", f"EnqueueTask → assignment, {store}"
        lines += [
            *_both(results, f"{store}, submit", submit, (1.5, 5.0), floors[0]),
            _awake(results, f"{store}, submit awake", submit),
            *_both(results, f"{store}, enqueue", enqueue, (3.0, None), floors[1]),
            _awake(results, f"{store}, enqueue awake", enqueue),
        ]
    return lines + [line for kind in peers.KINDS for line in _peer(results, kind)]


def _peer(results: Rounds, kind: peers.Kind) -> list[Line]:
    """A peer's way from the call to the job's first line, and how much longer it is than our whole way."""
    theirs = results[kind.name]
    spread = measure.pooled(theirs)
    store = "postgresql" if kind.durable else "sqlite"
    times = measure.ratio(theirs, results[f"{store}, submit"], lambda each: each.p50)
    what = f"{kind.name}{'' if kind.durable else ' (not durable)'}, enqueue → job begins"
    beside = f"SubmitEntry on {store}; p99 {millis(spread.p99)}"
    cpu = f"{number(measure.cpu_micros(theirs))} µs a job in the worker"
    return [Line(1, f"{what}, p50 of {spread.count:,}", spread.p50 / 1e6, "ms", None, beside, times, cpu)]


class _Floor:
    """What a way of so many calls, each with a durable append, and one message to the agent costs at least."""

    def __init__(self, results: Rounds, calls: int) -> None:
        self._parts = [results[name] for name in ("unary", "append", "stream")]
        self._calls = calls
        rounds = zip(*self._parts, strict=True)
        self.rounds = [calls * (a.spread.p50 + b.spread.p50) + c.spread.p50 / 2 for a, b, c in rounds]
        self.cpu_micros = measure.cpu_micros(self._parts[0])

    def tail(self) -> str:
        """How late the machine itself was at times: p99 of each part."""
        late = [millis(measure.pooled(each).p99) for each in self._parts]
        return f"p99 of unary {late[0]}, fdatasync {late[1]}, stream echo {late[2]}"

    def __str__(self) -> str:
        unary, append, stream = (measure.median_of(each, lambda spread: spread.p50) for each in self._parts)
        call = f"unary {millis(unary)} + fdatasync {millis(append)}"
        calls = call if self._calls == 1 else f"{self._calls} × ({call})"
        return f"{calls} + half a stream echo {millis(stream / 2)} = {millis(measure.median(self.rounds))}"


def _both(results: Rounds, name: str, what: str, goals: tuple[float, float | None], floor: _Floor) -> list[Line]:
    ours = results[name]
    spread = measure.pooled(ours)
    times = measure.median([each.spread.p50 / least for each, least in zip(ours, floor.rounds, strict=True)])
    cpu = f"{number(measure.cpu_micros(ours))} µs a task in the services; echo {number(floor.cpu_micros)} µs a call"
    return [
        Line(1, f"{what}, p50 of {spread.count:,}", spread.p50 / 1e6, "ms", goals[0], str(floor), times, cpu),
        Line(1, f"{what}, p99", spread.p99 / 1e6, "ms", goals[1], floor.tail()),
    ]


def _awake(results: Rounds, name: str, what: str) -> Line:
    spread = measure.pooled(results[name])
    return Line(1, f"{what}, {AWAKE[0] * 1e3:g} to {AWAKE[1] * 1e3:g} ms apart, p50", spread.p50 / 1e6, "ms")
