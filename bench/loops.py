"""One training-like loop in a fresh process: `python -m bench.loops scalar|list COUNT`, result as one JSON line.

The loop runs twice: bare, for the mean and the CPU time, then with the clock read around every call, for the
percentiles (those include one reading of the clock, some 50 ns).
"""

from __future__ import annotations

import array
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict

from bench import measure

SERIES = 10

Report = Callable[[str, str, float, int], None]


def run(report: Report, count: int) -> dict[str, object]:
    """`count` calls over ten series: the figures of `measure.Spread` and the CPU seconds of the bare loop."""
    names = [f"series {number}" for number in range(SERIES)]
    per_call = array.array("q", bytes(8 * count))
    used = measure.own_cpu_seconds()
    start = measure.now_ns()
    for step in range(count // SERIES):
        for name in names:
            report("loss", name, step * 0.001, step)
    elapsed = measure.now_ns() - start
    used = measure.own_cpu_seconds() - used
    _each(report, names, count, per_call)
    figures = asdict(measure.spread(per_call)) | {"mean": elapsed / count}
    return {"spread": figures, "cpu_seconds": used}


def _each(report: Report, names: list[str], count: int, per_call: array.array[int]) -> None:
    clock = measure.now_ns
    index = 0
    for step in range(count // SERIES, 2 * count // SERIES):
        for name in names:
            start = clock()
            report("loss", name, step * 0.001, step)
            per_call[index] = clock() - start
            index += 1


def scalar() -> Report:
    """`Logger.report_scalar` of a run that has no server, so that nothing but the call itself is measured."""
    from batuta import Task

    task = Task.init(project_name="bench", task_name="row 8")
    return task.get_logger().report_scalar


def appended() -> Report:
    """What remembering a point costs at least: one tuple with the time, appended to a list."""
    points: list[tuple[str, str, float, int, float]] = []
    append = points.append
    now = time.time

    def report(title: str, series: str, value: float, iteration: int) -> None:
        append((title, series, value, iteration, now()))

    return report


LOOPS: dict[str, Callable[[], Report]] = {"scalar": scalar, "list": appended}


def main(kind: str, count: int) -> None:
    """Run one loop in a home folder of its own."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_SCRATCH")) as home:
        os.environ["HOME"] = home
        result = run(LOOPS[kind](), count)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
