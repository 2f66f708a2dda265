"""Row 7: from the call that aborts a running task until its process has the SIGINT in hand.

Everything is real; the script stamps the moment at which its handler runs. Beside it: a signal from this process to a
Python process that waits, with the same handler.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

from batuta_proto.tasks import v1 as tasks
from batuta_rpc.ids import SystemIds
from bench import measure
from bench.measure import Sample, Side
from bench.plan import Plan
from bench.report import Line, millis, number
from bench.stack import until
from bench.through import Through, through

RUNS = 200
QUICK = 3
SETTLE = (0.02, 0.06)
"""Pause (seconds) between the script's word that it runs and the abort."""
SCRIPT = """\
import os, signal, sys, time
def leave(number, frame):
    stamp = time.perf_counter_ns()
    with open({path!r} + ".new", "w") as file: print(stamp, file=file)
    os.rename({path!r} + ".new", {path!r} + ".stopped")
    os._exit(0)
signal.signal(signal.SIGINT, leave)
with open({path!r} + ".ready.new", "w") as file: print(os.getpid(), file=file)
os.rename({path!r} + ".ready.new", {path!r} + ".ready")
while True: time.sleep(60)
"""


def run(plan: Plan) -> list[Line]:
    """p50 and p99 over all runs."""
    folder = plan.scratch / "row07"
    stamps = folder / "stamps"
    with through(folder) as way:
        stamps.mkdir()
        count = plan.count(RUNS, QUICK)
        sides: dict[str, Side] = {
            "abort": lambda: _aborts(plan, way, stamps, count),
            "signal": lambda: _signals(plan, stamps, count),
        }
        results = measure.take_turns(plan.rounds, sides, lambda text: plan.progress(f"row 7, {text}"))
    ours, bare = results["abort"], results["signal"]
    spread = measure.pooled(ours)
    beside = f"a bare signal {millis(measure.median_of(bare, lambda each: each.p50))}"
    ratio = measure.ratio(ours, bare, lambda each: each.p50)
    cpu = f"{number(measure.cpu_micros(ours) / 1e3)} ms an abort in services and agent, run included"
    return [
        Line(
            7,
            f"AbortTask → SIGINT at the process, p50 of {spread.count}",
            spread.p50 / 1e6,
            "ms",
            10.0,
            beside,
            ratio,
            cpu,
        ),
        Line(7, "AbortTask → SIGINT at the process, p99", spread.p99 / 1e6, "ms"),
    ]


def _aborts(plan: Plan, way: Through, folder: Path, count: int) -> Sample:
    used = way.stack.cpu_seconds() + way.agent.cpu_seconds()
    times = [_abort(way, folder, number + plan.seed) for number in range(count)]
    return measure.sample(times, way.stack.cpu_seconds() + way.agent.cpu_seconds() - used)


def _abort(way: Through, folder: Path, seed: int) -> int:
    path = folder / SystemIds().new_id()
    task_id = way.draft(SCRIPT.format(path=str(path)), "row 7")
    way.enqueue(task_id)
    way.until_made(path.with_suffix(".ready"), task_id)
    measure.pause(random.Random(seed).uniform(*SETTLE))
    start = measure.now_ns()
    way.api.AbortTask(tasks.AbortTaskRequest(task_id=task_id))
    stopped = int(way.until_made(path.with_suffix(".stopped"), task_id))
    way.until_ended(task_id)
    return stopped - start


def _signals(plan: Plan, folder: Path, count: int) -> Sample:
    times = [_signal(folder / SystemIds().new_id(), number + plan.seed) for number in range(count)]
    return measure.sample(times, 0.0)


def _signal(path: Path, seed: int) -> int:
    child = subprocess.Popen([sys.executable, "-S", "-c", SCRIPT.format(path=str(path))])
    try:
        until("the bare process runs", 30, path.with_suffix(".ready").exists)
        measure.pause(random.Random(seed).uniform(*SETTLE))
        start = measure.now_ns()
        child.send_signal(signal.SIGINT)
        until("the bare process stops", 30, path.with_suffix(".stopped").exists)
        return int(path.with_suffix(".stopped").read_text()) - start
    finally:
        child.kill()
        child.wait()
