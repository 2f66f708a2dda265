"""Row 5: how quickly the broker gives out what waits, with 100,000 and with 1,000,000 entries queued.

A fleet of agents with 10,240 free places waits; then the queue is filled behind the broker's back (a million submits
would measure row 4 again), and one submit makes it look. The clock runs from that submit until the last place is
filled: claims, attempts and events are committed, tokens signed, and assignments in the agents' hands. Beside it:
claims of 50 rows per statement on a bare SQLite table of the same length.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from batuta_proto.queues import v1 as queues
from batuta_rpc.auth import StaticToken
from batuta_rpc.channel import open_sync
from batuta_rpc.ids import SystemIds
from bench import fill, measure
from bench.children import Child
from bench.measure import Sample, Side
from bench.plan import Plan
from bench.report import Line, number
from bench.stack import STORES, Stack

SIZES = (100_000, 1_000_000)
QUICK_SIZES = (1_000, 2_000)
MEMBERS, PLACES = 40, 256
QUICK_MEMBERS = 2
BATCH = 50
GOAL = 1e6 / 50_000
FLATNESS = 1 / 0.85
BARE = "bare claims"


def run(plan: Plan) -> list[Line]:
    """Microseconds an assignment for each length of the queue, and the longer against the shorter, by store."""
    lines: list[Line] = []
    for store in STORES:
        by_size = {size: _of_size(plan, store, size) for size in (QUICK_SIZES if plan.quick else SIZES)}
        lines += [line for each in by_size.values() for line in each]
        (short,), (long,) = by_size.values()
        lines.append(Line(5, f"the longer queue against the shorter, {store}", long.value / short.value, "×", FLATNESS))
    return lines


def _of_size(plan: Plan, store: str, size: int) -> list[Line]:
    folder = plan.scratch / f"row05-{store}-{size}"
    with Stack(folder, store=store, services=("queue",)) as stack:
        plan.progress(f"row 5, {store}: filling a queue with {size:,} entries")
        token = StaticToken(stack.token("service:bench", "service"))
        with open_sync(stack.queue_endpoint, token, "bench") as channel:
            stub = queues.QueueServiceStub(channel)
            queue_id = stub.GetQueue(queues.GetQueueRequest(display_name="default")).queue.id
            fill.queue(stack.database_url("queue"), queue_id, size)
            bare = _bare_table(folder / "bare", size)
            sides: dict[str, Side] = {
                "claims": lambda: _give_out(plan, stack, stub, queue_id),
                BARE: lambda: _claim_bare(bare, min(size, MEMBERS * PLACES)),
            }
            results = measure.take_turns(
                plan.rounds, sides, lambda text: plan.progress(f"row 5, {store}, {size:,} queued, {text}")
            )
            bare.close()
    ours = results["claims"]
    mean = measure.median_of(ours, _mean)
    beside = f"bare claims of {BATCH} rows: {number(1e9 / measure.median_of(results[BARE], _mean))}/s"
    title = f"claim + assign, {size:,} queued, {store}: {number(1e9 / mean)}/s"
    cpu = f"{number(measure.cpu_micros(ours))} µs an assignment in the queue service"
    return [Line(5, title, mean / 1e3, "µs", GOAL, beside, measure.ratio(ours, results[BARE], _mean), cpu)]


def _mean(spread: measure.Spread) -> float:
    return spread.mean


def _give_out(plan: Plan, stack: Stack, stub: queues.QueueServiceStub, queue_id: str) -> Sample:
    members = QUICK_MEMBERS if plan.quick else MEMBERS
    places = members * PLACES
    arguments = [stack.queue_endpoint, queue_id, "claims", str(members), str(PLACES)]
    token = {"BENCH_TOKEN": stack.token("agent:bench", "agent")}
    with Child("bench.fleet", arguments, stack.log("fleet"), token) as fleet:
        fleet.line(60)
        ids = SystemIds()
        envelope = queues.SchedulingEnvelope(queue_id=queue_id, task_id=ids.new_id())
        used, start = stack.queue.cpu_seconds(), measure.now_ns()
        stub.SubmitEntry(queues.SubmitEntryRequest(entry_id=ids.new_id(), envelope=envelope))
        fleet.send(f"count {places}")
        elapsed = int(fleet.line(120)) - start
        sample = measure.evenly(places, elapsed, stack.queue.cpu_seconds() - used)
    measure.pause(3.0 if not plan.quick else 0.5)  # the offers go back
    return sample


def _bare_table(path: Path, size: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE jobs (id INTEGER PRIMARY KEY, state INTEGER NOT NULL, priority INTEGER NOT NULL, data BLOB)",
        "CREATE INDEX waiting ON jobs (priority DESC, id) WHERE state = 0",
    ):
        connection.execute(statement)
    connection.execute("BEGIN")
    rows = ((number, 0, 0, b"x" * 64) for number in range(size))
    connection.executemany("INSERT INTO jobs VALUES (?, ?, ?, ?)", rows)
    connection.execute("COMMIT")
    return connection


def _claim_bare(connection: sqlite3.Connection, count: int) -> Sample:
    claim = (
        "UPDATE jobs SET state = 1 WHERE id IN "
        "(SELECT id FROM jobs WHERE state = 0 ORDER BY priority DESC, id LIMIT ?) RETURNING id, data"
    )
    used, start = measure.own_cpu_seconds(), measure.now_ns()
    for _ in range(0, count, BATCH):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(claim, (BATCH,)).fetchall()
        connection.execute("COMMIT")
    sample = measure.evenly(count, measure.now_ns() - start, measure.own_cpu_seconds() - used)
    connection.execute("UPDATE jobs SET state = 0 WHERE state = 1")
    return sample
