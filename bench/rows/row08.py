"""Row 8: `report_scalar` in a loop, a million calls over ten series, beside appending a tuple to a list."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial

from bench import measure
from bench.children import ROOT, ChildFailed
from bench.measure import Sample, Side, Spread
from bench.plan import Plan
from bench.report import Line, micros, number

CALLS = 1_000_000


def run(plan: Plan) -> list[Line]:
    """Mean, p50, p99, p99.99 and the slowest call: the median over rounds of each."""
    count = 20_000 if plan.quick else CALLS
    names = {"report_scalar": "scalar", "list.append": "list"}
    sides: dict[str, Side] = {name: partial(_loop, plan, kind, count) for name, kind in names.items()}
    results = measure.take_turns(plan.rounds, sides, lambda text: plan.progress(f"row 8, {text}"))
    ours, beside = results["report_scalar"], results["list.append"]

    def line(what: str, goal: float | None, pick: str, cpu: str = "") -> Line:
        def of(spread: Spread) -> float:
            return float(getattr(spread, pick))

        return Line(
            8,
            f"report_scalar, {what}",
            measure.median_of(ours, of) / 1e3,
            "µs",
            goal,
            f"list.append + time() {micros(measure.median_of(beside, of))}",
            measure.ratio(ours, beside, of),
            cpu,
        )

    cpu = f"{number(measure.cpu_micros(ours))} µs a call; list {number(measure.cpu_micros(beside))} µs"
    return [
        line(f"mean of {count:,} calls", 1.0, "mean", cpu),
        line("p50", None, "p50"),
        line("p99", 5.0, "p99"),
        line("p99.99", 1000.0, "p9999"),
        line("slowest", None, "largest"),
    ]


def _loop(plan: Plan, kind: str, count: int) -> Sample:
    done = subprocess.run(
        [sys.executable, "-m", "bench.loops", kind, str(count)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "BENCH_SCRATCH": str(plan.scratch)},
        cwd=ROOT,
        check=False,
    )
    if done.returncode != 0:
        raise ChildFailed(f"the {kind} loop ended with {done.returncode}\n{done.stderr.decode(errors='replace')}")
    result = json.loads(done.stdout.splitlines()[-1])
    return Sample(Spread(**result["spread"]), result["cpu_seconds"])
