"""Row 4: durable enqueues, as many as go through: batches of 100, and single calls.

The queue service is a process of its own; callers keep a fixed number of calls in flight. Nobody serves the queue, so
that what is measured is the way in and nothing else. Beside it: as many rows of the same size in an SQLite file, 100 a
commit.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.auth import StaticToken
from batuta_rpc.channel import open_aio
from batuta_rpc.ids import SystemIds
from bench import measure, peers
from bench.measure import Sample, Side
from bench.plan import Plan
from bench.report import Line, number
from bench.stack import STORES, Stack

BATCHED, SINGLE, PEERS = 50_000, 5_000, 3_000
QUICK = 500
BATCH = 100
IN_FLIGHT = {"batches": 8, "single": 32}
MEDIA_TYPE = "application/x-protobuf;type=batuta.tasks.v1.Task"
PAYLOAD = tasks.Task(spec=tasks.TaskSpec(source=tasks.Source(script="print('hello')\n" * 10))).SerializeToString()
GOALS = {"batches": 1e6 / 50_000, "single": 1e6 / 4_000}
"""Microseconds an entry: 50,000 and 4,000 a second."""


def run(plan: Plan) -> list[Line]:
    """Microseconds an entry, by store, and what a client of each peer gets through; the median over rounds."""
    return [*(line for store in STORES for line in _of_store(plan, store)), *_of_peers(plan)]


def _of_peers(plan: Plan) -> list[Line]:
    count = plan.count(PEERS * plan.rounds, QUICK)
    with peers.running(plan.scratch / "row04-peers") as others:
        sides: dict[str, Side] = {peer.kind.name: partial(peer.enqueue, count) for peer in others}
        results = measure.take_turns(plan.rounds, sides, lambda text: plan.progress(f"row 4, {text}"))
    lines: list[Line] = []
    for kind in peers.KINDS:
        mean = measure.median_of(results[kind.name], _mean)
        durable = "" if kind.durable else " (not durable)"
        title = f"{kind.name}{durable}, one client: {number(1e9 / mean)} jobs/s"
        lines.append(Line(4, title, mean / 1e3, "µs"))
    return lines


def _of_store(plan: Plan, store: str) -> list[Line]:
    folder = plan.scratch / f"row04-{store}"
    with Stack(folder, store=store, services=("queue",)) as stack:
        sides: dict[str, Side] = {
            "batches": partial(_measured, plan, stack, "batches", BATCHED),
            "rows": partial(_bare_rows, folder / "rows", plan.count(BATCHED, QUICK)),
            "single": partial(_measured, plan, stack, "single", SINGLE),
        }
        results = measure.take_turns(plan.rounds, sides, lambda text: plan.progress(f"row 4, {store}, {text}"))
    lines: list[Line] = []
    for name, what in (("batches", f"BatchSubmitEntries of {BATCH}"), ("single", "SubmitEntry")):
        ours = results[name]
        mean = measure.median_of(ours, lambda spread: spread.mean)
        beside = f"bare rows, {BATCH} a commit: {number(1e9 / measure.median_of(results['rows'], _mean))}/s"
        cpu = f"{number(measure.cpu_micros(ours))} µs an entry in the queue service"
        title = f"{what}, {store}: {number(1e9 / mean)} entries/s"
        lines.append(
            Line(4, title, mean / 1e3, "µs", GOALS[name], beside, measure.ratio(ours, results["rows"], _mean), cpu)
        )
    return lines


def _mean(spread: measure.Spread) -> float:
    return spread.mean


def _measured(plan: Plan, stack: Stack, kind: str, whole: int) -> Sample:
    count = plan.count(whole * plan.rounds, QUICK)
    used = stack.queue.cpu_seconds()
    elapsed = asyncio.run(_submit(stack, kind, count))
    return measure.evenly(count, elapsed, stack.queue.cpu_seconds() - used)


async def _submit(stack: Stack, kind: str, count: int) -> int:
    """Nanoseconds that `count` entries took."""
    token = StaticToken(stack.token("service:bench", "service"))
    async with open_aio(stack.queue_endpoint, token, "bench") as channel:
        stub = queues.QueueServiceStub(channel)
        queue_id = (await stub.GetQueue(queues.GetQueueRequest(display_name="default"))).queue.id
        calls = _batches(stub, queue_id, count) if kind == "batches" else _singles(stub, queue_id, count)
        waiting = iter(calls)

        async def caller() -> None:
            for call in waiting:
                await call()

        start = measure.now_ns()
        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT[kind]):
                group.create_task(caller())
        return measure.now_ns() - start


Call = Callable[[], Awaitable[object]]


def _request(ids: SystemIds, queue_id: str) -> queues.SubmitEntryRequest:
    return queues.SubmitEntryRequest(
        entry_id=ids.new_id(),
        envelope=queues.SchedulingEnvelope(queue_id=queue_id, task_id=ids.new_id()),
        payload=PAYLOAD,
        payload_media_type=MEDIA_TYPE,
    )


def _singles(stub: queues.QueueServiceAsyncStub, queue_id: str, count: int) -> list[Call]:
    ids = SystemIds()
    requests = [_request(ids, queue_id) for _ in range(count)]
    return [partial(stub.SubmitEntry, each, timeout=60) for each in requests]


def _batches(stub: queues.QueueServiceAsyncStub, queue_id: str, count: int) -> list[Call]:
    ids = SystemIds()
    requests = [
        queues.BatchSubmitEntriesRequest(entries=[_request(ids, queue_id) for _ in range(BATCH)])
        for _ in range(count // BATCH)
    ]
    return [partial(stub.BatchSubmitEntries, each, timeout=60) for each in requests]


def _bare_rows(path: Path, count: int) -> Sample:
    """`count` rows of the payload's size in a file of their own, `BATCH` a commit, each commit with an fsync."""
    ids = SystemIds()
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "CREATE TABLE rows (id TEXT, data BLOB)",
        ):
            connection.execute(statement)
        rows = [(ids.new_id(), PAYLOAD) for _ in range(count)]
        used, start = measure.own_cpu_seconds(), measure.now_ns()
        for first in range(0, count, BATCH):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO rows VALUES (?, ?)", rows[first : first + BATCH])
            connection.execute("COMMIT")
        return measure.evenly(count, measure.now_ns() - start, measure.own_cpu_seconds() - used)
    finally:
        connection.close()
