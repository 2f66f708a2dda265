"""Row 3: as row 2, with an agent that keeps an interpreter of the environment started.

Two deployments take turns, equal but for that option of their agents. Beside them: a Python that waits and only forks.
"""

from __future__ import annotations

from pathlib import Path

from bench import limits, measure
from bench.measure import Rounds, Side
from bench.plan import Plan
from bench.report import Line, millis, number
from bench.rows.row02 import IDLE, QUICK, RUNS, SCRIPT, FirstLines
from bench.through import through

WARM, COLD, FORK = "a warm interpreter", "a new interpreter", "bare fork"


def run(plan: Plan) -> list[Line]:
    """The time, its ratio to that of row 2 in the same rounds, then the stages on the way."""
    folder = plan.scratch / "row03"
    with through(folder / "cold") as cold_way, through(folder / "warm", "--warm-interpreters", "1") as warm_way:
        cold, warm = FirstLines(cold_way, folder / "cold-stamps"), FirstLines(warm_way, folder / "warm-stamps")
        for each in (cold, warm):
            each.folder.mkdir()
            plan.progress("row 3, the first tasks build the environment and warm it up")
            each.side(2, plan.seed, IDLE)
        return _lines(_measure(plan, cold, warm, folder / "bare.py"), warm)


def _measure(plan: Plan, cold: FirstLines, warm: FirstLines, script: Path) -> Rounds:
    count = plan.count(RUNS, QUICK)
    script.write_text(SCRIPT.format(path=str(script.with_name("bare"))))
    sides: dict[str, Side] = {
        WARM: lambda: warm.side(count, plan.seed, IDLE, keep=True),
        COLD: lambda: cold.side(count, plan.seed, IDLE),
        FORK: lambda: limits.fork_start(cold.python, script, count, plan.seed, IDLE),
    }
    return measure.take_turns(plan.rounds, sides, lambda text: plan.progress(f"row 3, {text}"))


def _lines(results: Rounds, warm: FirstLines) -> list[Line]:
    ours, cold, fork = (results[name] for name in (WARM, COLD, FORK))
    spread = measure.pooled(ours)
    beside = f"a new interpreter {millis(measure.pooled(cold).p50)}; a bare fork {millis(measure.pooled(fork).p50)}"
    cpu = f"{number(measure.cpu_micros(ours) / 1e3)} ms a task in services and agent; fork "
    cpu += f"{number(measure.cpu_micros(fork) / 1e3)} ms"
    times = measure.ratio(ours, cold, lambda each: each.p50)
    text = f"EnqueueTask → first user line, warm, p50 of {spread.count}"
    head = [
        Line(3, text, spread.p50 / 1e6, "ms", 5, beside, times, cpu),
        Line(3, "EnqueueTask → first user line, warm, p99", spread.p99 / 1e6, "ms"),
        Line(3, "the same / a bare fork", measure.ratio(ours, fork, lambda each: each.p50), "×"),
    ]
    medians = {name: measure.median(each) / 1e6 for name, each in warm.stages.items()}
    return head + [Line(3, f"  since the call: {name}, p50", at, "ms") for name, at in medians.items()]
