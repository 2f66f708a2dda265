"""Row 2: from the call that queues a task until its script runs its first line, in a new interpreter.

Everything is real: API, queue service, agent, an environment that the agent has cached. The script stamps the moment at
which it writes its first line. Beside it: the interpreter of that same environment, started bare on the same script.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_rpc.auth import CredentialTokens, StaticToken
from batuta_rpc.channel import open_sync
from batuta_rpc.clock import SystemClock
from batuta_rpc.ids import SystemIds
from bench import limits, measure
from bench.children import Child
from bench.events import EventLog
from bench.measure import Rounds, Sample, Side
from bench.plan import Plan
from bench.report import Line, millis, number
from bench.stack import Stack, until

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
class Through:
    """Runs tasks through the agent one by one. `stages`: per stage, nanoseconds since the call, for each task."""

    stack: Stack
    agent: Child
    api: tasks.TaskServiceStub
    events: EventLog
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
        source = tasks.Source(script=SCRIPT.format(path=str(stamp_path)), entry_point="first_line.py")
        draft = tasks.CreateTaskRequest(project_name="bench", display_name="row 2", spec=tasks.TaskSpec(source=source))
        task_id = self.api.CreateTask(draft).task.id
        request = tasks.EnqueueTaskRequest(task_id=task_id, queue_name="default", request_id=SystemIds().request_id())
        wall, start = measure.wall_ns(), measure.now_ns()
        self.api.EnqueueTask(request)
        returned = measure.wall_ns()
        until(f"no first line of task {task_id}", 120, lambda: stamp_path.exists() or self._ended(task_id))
        until(f"no end of task {task_id}", 120, lambda: self._ended(task_id))
        if not stamp_path.exists():
            raise RuntimeError(f"task {task_id} ended before its first line\n{self.agent.said()}")
        stamp, first_line, _, python = stamp_path.read_text().split(maxsplit=3)
        self.python = python.strip()
        if keep:
            self._keep(task_id, wall, returned, int(first_line))
        return int(stamp) - start

    def _keep(self, task_id: str, wall: int, returned: int, first_line: int) -> None:
        known = self.events.times(task_id)
        marks = [("the call returned", returned)]
        marks += [(name, known[phase]) for name, phase in PHASES.items() if phase in known]
        marks.append(("first line", first_line))
        for name, at in marks:
            self.stages.setdefault(name, []).append(at - wall)

    def _ended(self, task_id: str) -> bool:
        if not self.agent.alive():
            raise RuntimeError(f"the agent is gone\n{self.agent.said()}")
        return self.events.ended(task_id)

    def _cpu(self) -> float:
        return self.stack.cpu_seconds() + self.agent.cpu_seconds()


def run(plan: Plan) -> list[Line]:
    """The ratio to the bare interpreter, then the stages on the way, each as the time since the call."""
    folder = plan.scratch / "row02"
    stamps = folder / "stamps"
    with Stack(folder) as stack, open_sync(stack.api_endpoint, _admin(stack), "bench") as channel:
        service = open_sync(stack.queue_endpoint, StaticToken(stack.token("service:bench", "service")), "bench")
        with service, EventLog(service) as events, _agent(stack, folder) as agent:
            stamps.mkdir()
            through = Through(stack, agent, tasks.TaskServiceStub(channel), events, stamps)
            plan.progress("row 2, the first task builds the environment")
            through.one()
            through.one()
            return _lines(_measure(plan, through), through)


def _admin(stack: Stack) -> CredentialTokens:
    admin = stack.admin()
    return CredentialTokens(admin.api, admin.access_key, admin.secret_key, SystemClock())


def _agent(stack: Stack, folder: Path) -> Child:
    arguments = ["start", "--queue", "default", "--credentials", str(stack.agent_credentials())]
    arguments += ["--data", str(folder / "agent"), "--cache", str(folder / "cache"), "--stop-tasks-on-exit"]
    return Child("batuta_agent", arguments, stack.log("agent"))


def _measure(plan: Plan, through: Through) -> Rounds:
    count = plan.count(RUNS, QUICK)
    script = through.folder / "bare.py"
    script.write_text(SCRIPT.format(path=str(through.folder / "bare")))
    sides: dict[str, Side] = {
        IDLE_AGENT: lambda: through.side(count, plan.seed, IDLE, keep=True),
        BARE: lambda: limits.interpreter_start(through.python, script, count, plan.seed, IDLE),
        BUSY_AGENT: lambda: through.side(count, plan.seed, measure.GAP),
    }
    return measure.take_turns(plan.rounds, sides, lambda text: plan.progress(f"row 2, {text}"))


def _lines(results: Rounds, through: Through) -> list[Line]:
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
    medians = {name: measure.median(each) / 1e6 for name, each in through.stages.items()}
    return head + [Line(2, f"  since the call: {name}, p50", at, "ms") for name, at in medians.items()]
