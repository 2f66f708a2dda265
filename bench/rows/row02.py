"""Row 2: from the call that queues a task until its script runs its first line, in a new interpreter.

Everything is real: API, queue service, agent, an environment that the agent has cached. The script stamps the moment at
which it writes its first line. Beside it: the interpreter of that same environment, started bare on the same script.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from batuta_proto.types import v1 as types
from batuta_rpc.ids import SystemIds
from bench import limits, measure
from bench.measure import Rounds, Sample, Side
from bench.plan import Plan
from bench.report import Line, millis, number
from bench.through import Through, through

RUNS = 60
QUICK = 3
IDLE = (1.0, 1.1)
"""Pause (seconds) after the end of a task: the agent has finished with it, and its next shim has started."""
SCRIPT = """\
import time; stamp = time.perf_counter_ns(), time.time_ns(), time.process_time_ns(); print(*stamp, flush=True)
import os, sys
with open({path!r} + ".new", "w") as file: print(*stamp, sys.executable, file=file)
os.rename({path!r} + ".new", {path!r})
"""
IDLE_AGENT, BUSY_AGENT, BARE = "an agent that waits", "one task after the other", "bare interpreter"
PHASES = {
    "OFFERED": types.ATTEMPT_PHASE_OFFERED,
    "ACCEPTED": types.ATTEMPT_PHASE_ACCEPTED,
    "PREPARING": types.ATTEMPT_PHASE_PREPARING,
    "RUNNING": types.ATTEMPT_PHASE_RUNNING,
}


@dataclass
class FirstLines:
    """Runs tasks through the agent one by one. `stages`: per stage, nanoseconds since the call, for each task."""

    way: Through
    folder: Path
    python: str = ""
    stages: dict[str, list[int]] = field(default_factory=dict[str, list[int]])

    def side(self, count: int, seed: int, gap: tuple[float, float], keep: bool = False) -> Sample:
        """`count` tasks, each a pause after the end of the last. CPU is services and agent, without couriers."""
        used = self._cpu()
        times = [self.one(keep) for _ in measure.gaps(count, seed, gap)]
        return measure.sample(times, self._cpu() - used)

    def one(self, keep: bool = False) -> int:
        """Nanoseconds from the call until the script's first line; returns once the task has ended."""
        stamp_path = self.folder / SystemIds().new_id()
        task_id = self.way.draft(SCRIPT.format(path=str(stamp_path)), "row 2")
        wall, start = measure.wall_ns(), measure.now_ns()
        self.way.enqueue(task_id)
        returned = measure.wall_ns()
        stamp, first_line, _, python = self.way.until_made(stamp_path, task_id).split(maxsplit=3)
        self.way.until_ended(task_id)
        self.python = python.strip()
        if keep:
            self._keep(task_id, wall, returned, int(first_line))
        return int(stamp) - start

    def _keep(self, task_id: str, wall: int, returned: int, first_line: int) -> None:
        known = self.way.events.times(task_id)
        marks = [("the call returned", returned)]
        marks += [(name, known[phase]) for name, phase in PHASES.items() if phase in known]
        marks.append(("first line", first_line))
        for name, at in marks:
            self.stages.setdefault(name, []).append(at - wall)

    def _cpu(self) -> float:
        return self.way.stack.cpu_seconds() + self.way.agent.cpu_seconds()


def run(plan: Plan) -> list[Line]:
    """The ratio to the bare interpreter, then the stages on the way, each as the time since the call."""
    folder = plan.scratch / "row02"
    with through(folder) as way:
        lines = FirstLines(way, folder / "stamps")
        lines.folder.mkdir()
        plan.progress("row 2, the first task builds the environment")
        lines.one()
        lines.one()
        return _lines(_measure(plan, lines), lines)


def _measure(plan: Plan, lines: FirstLines) -> Rounds:
    count = plan.count(RUNS, QUICK)
    script = lines.folder / "bare.py"
    script.write_text(SCRIPT.format(path=str(lines.folder / "bare")))
    sides: dict[str, Side] = {
        IDLE_AGENT: lambda: lines.side(count, plan.seed, IDLE, keep=True),
        BARE: lambda: limits.interpreter_start(lines.python, script, count, plan.seed, IDLE),
        BUSY_AGENT: lambda: lines.side(count, plan.seed, measure.GAP),
    }
    return measure.take_turns(plan.rounds, sides, lambda text: plan.progress(f"row 2, {text}"))


def _lines(results: Rounds, lines: FirstLines) -> list[Line]:
    ours, bare = results[IDLE_AGENT], results[BARE]
    spread = measure.pooled(ours)
    beside = f"bare interpreter {millis(measure.median_of(bare, lambda each: each.p50))}"
    cpu = f"{number(measure.cpu_micros(ours) / 1e3)} ms a task in services and agent; "
    cpu += f"interpreter {number(measure.cpu_micros(bare) / 1e3)} ms"
    times = measure.ratio(ours, bare, lambda each: each.p50)
    head = [
        Line(2, f"EnqueueTask → first user line, p50 of {spread.count} / bare interpreter", times, "×", 1.6, beside),
        Line(2, "EnqueueTask → first user line, p50", spread.p50 / 1e6, "ms", cpu=cpu),
        Line(2, "EnqueueTask → first user line, p99", spread.p99 / 1e6, "ms"),
    ]
    busy = measure.pooled(results[BUSY_AGENT])
    head.append(Line(2, "one task right after the other, p50", busy.p50 / 1e6, "ms"))
    medians = {name: measure.median(each) / 1e6 for name, each in lines.stages.items()}
    return head + [Line(2, f"  since the call: {name}, p50", at, "ms") for name, at in medians.items()]
