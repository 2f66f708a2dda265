"""Warm interpreters, as real processes: what a task sees is what it would see in a new one."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from batuta_agent.environment.locks import try_lock
from batuta_agent.environment.venv import Venv
from batuta_agent.shim.processes import look
from batuta_agent.shim.state import CANCELLED, ENDED, TIME_LIMIT, Order, State
from batuta_agent.shims import READY, RunningShim, ShimPool, Spare, end_stray_processes
from batuta_agent.testing import until
from batuta_agent.warm import WarmInterpreters
from batuta_rpc.clock import SystemClock

from .conftest import end_everything_below

CLOCK = SystemClock()
WAITS = "import time\nprint('up', flush=True)\ntime.sleep(1000)\n"


def make_venv(path: Path) -> str:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(path)], check=True)
    return str(path / "bin" / "python")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_venv(tmp_path_factory.mktemp("venv") / "v")


class Runs:
    """Runs of scripts in one work folder, each with a folder of its own for the shim."""

    def __init__(self, folder: Path, python: str) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        self.python = python
        self.env = {**os.environ, "PYTHONUNBUFFERED": "1", "FROM_THE_MACHINE": "ü"}
        self._folder = folder
        self._count = 0

    def order(self, arguments: Sequence[str], env: Mapping[str, str] | None = None, **rest: Any) -> Order:
        self._count += 1
        folder = self._folder / f"attempt{self._count}"
        (folder / "spool").mkdir(parents=True)
        late = {"BATUTA_TASK_ID": "t1", "BATUTA_SPOOL_DIR": str(folder / "spool"), "CUDA_VISIBLE_DEVICES": "GPU-1"}
        whole = {**self.env, **late, **(env or {})}
        return Order(str(folder), str(folder / "spool"), [self.python, *arguments], str(self.work), whole, **rest)

    async def warm(self) -> Spare:
        spare = Spare(self.env, self.python)
        assert await spare.ready(CLOCK) == READY
        return spare

    async def begin(self, spare: Spare, order: Order) -> tuple[State, RunningShim]:
        state = await spare.order(order, CLOCK)
        return state, RunningShim(Path(order.directory), state, CLOCK)

    async def finish(self, shim: RunningShim) -> State:
        ended = await asyncio.wait_for(shim.end(), 60)
        assert ended is not None
        assert ended.phase == ENDED
        return ended

    async def run(self, spare: Spare, order: Order) -> tuple[State, str]:
        _state, shim = await self.begin(spare, order)
        return await self.finish(shim), console(order)

    async def both(self, arguments: Sequence[str], env: Mapping[str, str] | None = None) -> list[tuple[object, ...]]:
        """What can be seen of a cold run and of a warm one."""
        seen: list[tuple[object, ...]] = []
        for spare in (Spare(self.env), await self.warm()):
            ended, text = await self.run(spare, self.order(arguments, env))
            assert ended.message == ""
            seen.append((ended.exit_code, ended.signal, re.sub(r"attempt\d+|0x[0-9a-f]+", "…", text)))
        return seen


def console(order: Order) -> str:
    return (Path(order.spool) / "console.log").read_text()


def alive(pid: int) -> bool:
    process = look(pid)
    return process is not None and not process.gone


def below(pid: int) -> list[int]:
    """Children of a process."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
async def runs(tmp_path: Path, python: str) -> AsyncGenerator[Runs]:
    yield Runs(tmp_path, python)
    end_everything_below(tmp_path)


SCRIPTS = {
    "says nothing": "pass",
    "exit code": "import sys; sys.exit(3)",
    "exit with a text": "import sys; sys.exit('no good')",
    "exit without a code": "raise SystemExit",
    "exit by os": "import os; os._exit(7)",
    "error": "def f():\n    raise ValueError('ü')\nf()",
    "error with a cause": "try:\n    1 / 0\nexcept Exception as e:\n    raise KeyError(1) from e",
    "error that is kept": (
        "import atexit, sys, traceback\n"
        "def show(): print(len(traceback.extract_tb(sys.last_traceback)), sys.last_value.__traceback__.tb_lineno)\n"
        "atexit.register(show)\n1 / 0"
    ),
    "hook for errors": (
        "import sys, traceback\n"
        "def hook(kind, value, trace): print(kind, [f.name for f in traceback.extract_tb(trace)])\n"
        "sys.excepthook = hook\n1 / 0"
    ),
    "syntax error": "x = = 1",
    "encoding error": "x = '\udcff'",
    "another encoding": "# coding: latin-1\nprint(ascii('\udcfc'))",
    "interrupt by itself": "raise KeyboardInterrupt",
    "signal": "import os; os.kill(os.getpid(), 11)",
    "sigterm": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "handlers": "import signal\nfor n in range(1, 32): print(n, signal.getsignal(n))",
    "arguments": "import sys; print(sys.argv, getattr(sys, 'orig_argv', 0), sys.executable, sys.flags, sys._xoptions)",
    "path": "import sys; print(sys.path, sys.prefix, sys.path_hooks)",
    "main": (
        "import sys; m = sys.modules['__main__']\nprint(m, __name__, __file__, __spec__, __package__, __doc__)\n"
        "print(type(__loader__).__name__, __loader__.name, __loader__.path, __builtins__)\n"
        "print(sorted(vars(m)), vars(m) is globals(), __annotations__)"
    ),
    "modules": "import sys; print(sorted(sys.modules))",
    "docstring": "'''D'''\nx: int = 1\nprint(__doc__, __annotations__)",
    "frames": "import traceback\ntry: 1 / 0\nexcept Exception: traceback.print_exc()",
    "environment": (
        "import os\nprint(sorted((k, v) for k, v in os.environ.items()))\n"
        "import subprocess; print(subprocess.run(['env'], capture_output=True, text=True).stdout.count('BATUTA_'))"
    ),
    "folder": "import os; print(os.getcwd(), os.listdir())",
    "handles": (
        "import os\nfor n in range(64):\n    try: print(n, os.readlink(f'/proc/self/fd/{n}').split(':')[0])\n"
        "    except OSError: pass"
    ),
    "process": "import os, resource as r; print(os.getpgrp() - os.getpid(), os.umask(0), r.getrlimit(r.RLIMIT_NOFILE))",
    "output": "import sys; print(sys.stdin.read(), sys.stdout, sys.stderr, sys.stdout.write_through, file=sys.stderr)",
    "at exit": "import atexit; atexit.register(lambda: print('bye', y)); print('hi'); y = 1",
    "thread": "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.1), print(__name__))).start()",
    "import": "import helper; print(helper.where, __import__('package.inside').inside.up)",
    "pickle": "import pickle\nclass A: pass\nprint(pickle.loads(pickle.dumps(A())).__class__, A.__module__)",
    "warning": "import warnings; warnings.warn('careful'); warnings.warn('far', stacklevel=2)",
    "spawn": (
        "import multiprocessing as m\ndef f(x): return x * 2\n"
        "if __name__ == '__main__':\n    with m.get_context('spawn').Pool(1) as p: print(p.map(f, [1, 2]))"
    ),
    "fork": "import os\npid = os.fork()\nif pid: print(os.waitpid(pid, 0)[1])\nprint(bool(pid), __name__)",
    "inspect": "import inspect\nclass A:\n    def f(self): pass\nprint(inspect.getsource(A), inspect.getfile(A))",
    "asyncio": "import asyncio\nasync def main(): await asyncio.sleep(0); raise OSError(1)\nasyncio.run(main())",
}


AS_MODULES = ("exit code", "error", "interrupt by itself", "arguments", "path", "main", "modules", "import", "spawn")
TABLE = [(name, "script") for name in SCRIPTS] + [(name, "module") for name in AS_MODULES]


def write_code(work: Path, script: str) -> None:
    (work / "helper.py").write_text("where = __file__")
    (work / "package").mkdir()
    (work / "package" / "__init__.py").write_text("name = 'p'")
    (work / "package" / "inside.py").write_text("from . import name as up\nprint(up, __name__, __package__, __spec__)")
    (work / "train.py").write_bytes(script.encode(errors="surrogateescape"))


@pytest.mark.parametrize(("name", "way"), TABLE)
async def test_a_warm_interpreter_cannot_be_told_from_a_new_one(runs: Runs, name: str, way: str) -> None:
    write_code(runs.work, SCRIPTS[name])
    cold, warm = await runs.both([str(runs.work / "train.py")] if way == "script" else ["-m", "train"])
    assert warm == cold


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "package.inside"],
        ["-m", "package"],
        ["-m", "none.such"],
        ["missing.py"],
        ["{work}/train.py", "a", "-b"],
        ["{work}/link.py"],
        ["{work}/package/../train.py"],
        ["./package/../train.py"],
        ["-m", "train", "-x"],
        ["-c", "import sys; print(sys.argv)"],
        ["-W", "error", "train.py"],
    ],
    ids=" ".join,
)
async def test_however_it_is_called_the_answer_is_the_same(runs: Runs, arguments: list[str]) -> None:
    write_code(runs.work, "import sys, warnings; print(sys.argv, sys.path[0], __file__); warnings.warn('w')")
    (runs.work / "link.py").symlink_to(runs.work / "package" / "inside.py")
    cold, warm = await runs.both([each.format(work=runs.work) for each in arguments])
    assert warm == cold


@pytest.mark.parametrize(
    "env", [{"PYTHONOPTIMIZE": "2"}, {"PYTHONPATH": "/elsewhere"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}, {"OTHER": "x"}]
)
async def test_variables_that_act_when_python_starts_have_it_start_anew(runs: Runs, env: Mapping[str, str]) -> None:
    write_code(runs.work, "import os, sys; print(sys.flags, sys.path, sys.stdout.encoding, sorted(os.environ.items()))")
    cold, warm = await runs.both([str(runs.work / "train.py")], env)
    assert warm == cold


async def test_it_has_started_before_it_is_told_what_to_run_and_only_then_has_the_attempt_its_files(
    runs: Runs,
) -> None:
    spare = await runs.warm()
    (waiting,) = below(spare.process.pid)
    write_code(runs.work, "import os; print(os.getpid())")
    order = runs.order([str(runs.work / "train.py")])
    assert not (Path(order.directory) / "state.json").exists()
    ended, text = await runs.run(spare, order)
    assert (ended.exit_code, int(text), ended.child_pid) == (0, waiting, waiting)


async def test_a_folder_that_is_not_there_is_told_at_once(runs: Runs) -> None:
    order = runs.order([str(runs.work / "train.py")])._replace(cwd="/no/such/folder")
    state, _shim = await runs.begin(await runs.warm(), order)
    assert (state.phase, state.exit_code, state.child_pid) == (ENDED, 127, 0)
    assert "/no/such/folder" in state.message


async def test_an_abort_reaches_it_as_keyboard_interrupt(runs: Runs) -> None:
    write_code(
        runs.work, f"try:\n    {WAITS.replace(chr(10), chr(10) + '    ')}\nexcept KeyboardInterrupt: print('stop')"
    )
    order = runs.order([str(runs.work / "train.py")])
    _state, shim = await runs.begin(await runs.warm(), order)
    await until(lambda: console(order) == "up\n")
    shim.cancel(20.0, 1)
    ended = await runs.finish(shim)
    assert (ended.cause, ended.exit_code, console(order)) == (CANCELLED, 0, "up\nstop\n")


async def test_its_time_limit_and_the_kill_of_its_tree_are_the_shims_as_ever(runs: Runs) -> None:
    write_code(
        runs.work,
        "import os, signal\n[signal.signal(n, signal.SIG_IGN) for n in (2, 15)]\n"
        "if os.fork() == 0: os.setsid(); print(os.getpid(), flush=True)\nimport time; time.sleep(1000)",
    )
    order = runs.order([str(runs.work / "train.py")], time_limit=0.5, kill_grace=0.4)
    ended, text = await runs.run(await runs.warm(), order)
    assert (ended.cause, ended.signal, ended.message) == (TIME_LIMIT, signal.SIGKILL, "")
    assert not alive(int(text))


async def test_what_it_forked_is_found_after_the_death_of_its_shim_also_without_control_groups(runs: Runs) -> None:
    write_code(
        runs.work,
        "import os, time\nif os.fork() == 0:\n    os.setsid(); os.chdir('/'); print(os.getpid(), flush=True)\n"
        "time.sleep(1000)",
    )
    order = runs.order([str(runs.work / "train.py")])
    state, shim = await runs.begin(await runs.warm(), order)
    await until(lambda: console(order))
    os.kill(state.shim_pid, signal.SIGKILL)
    assert await shim.end() is None
    await until(lambda: not alive(state.child_pid))
    assert end_stray_processes(Path(order.directory)) == []
    assert not alive(int(console(order)))


@pytest.mark.parametrize("who", ["agent", "shim", "interpreter"])
async def test_when_one_of_the_three_goes_all_go(runs: Runs, who: str) -> None:
    spare = await runs.warm()
    (waiting,) = below(spare.process.pid)
    if who == "agent":
        spare.close()  # all that the kernel does for an agent that is killed
    else:
        os.kill(spare.process.pid if who == "shim" else waiting, signal.SIGKILL)
    await until(lambda: not alive(waiting))
    await asyncio.wait_for(spare.process.end(CLOCK), 20)


async def test_an_environment_that_runs_code_in_every_start_is_refused_with_the_reason(tmp_path: Path) -> None:
    python = make_venv(tmp_path / "v")
    (packages,) = (tmp_path / "v").glob("lib/python*/site-packages")
    (packages / "hook.pth").write_text("import os; os.environ['SEEN'] = os.getcwd()\n")
    spare = Spare(os.environ, python)
    assert await spare.ready(CLOCK) == f"{packages}/hook.pth runs code in every start"
    assert await asyncio.wait_for(spare.process.end(CLOCK), 20) == 0


class Said:
    """A printer that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def event(self, kind: str, text: str, level: str = "info", **facts: object) -> None:
        self.said.append(text)


class Pool:
    """Warm interpreters as an agent keeps them, in environments of a test."""

    def __init__(self, folder: Path, most: int, idle: float = 600.0) -> None:
        self.folder = folder
        self.printer = Said()
        self.shims = ShimPool(os.environ, CLOCK)
        self.env = dict(os.environ)
        self.warm = WarmInterpreters(most, self.shims, self.env, self.printer, CLOCK, idle)

    def venv(self, name: str) -> Venv:
        path, lock = self.folder / name, self.folder / f"{name}.lock"
        held = try_lock(lock, shared=True)
        assert held is not None
        python = str(path / "bin" / "python") if path.exists() else make_venv(path)
        return Venv(python, path, lock, held, cached=True)

    async def taken(self, venv: Venv) -> Spare:
        """Ask for one until there is one; asking begins it."""
        found: list[Spare] = []

        def look_again() -> list[Spare]:
            spare = self.warm.take(venv)
            found.extend([] if spare is None else [spare])
            return found

        await until(look_again)
        return found[0]

    def waiting(self) -> dict[str, int]:
        """Interpreters that wait, by environment."""
        found: dict[str, int] = {}
        for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
            try:
                words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            except (OSError, ValueError):
                continue
            if len(words) > 1 and "warm_importlib" in words[1] and words[0].startswith(f"{self.folder}/"):
                found[Path(words[0]).parts[-3]] = pid
        return found


@pytest.fixture
async def pools(tmp_path: Path) -> AsyncGenerator[list[Pool]]:
    made: list[Pool] = []
    yield made
    for each in made:
        await each.warm.close()
        await until(lambda: not each.waiting())  # noqa: B023 - called before the next one
        await each.shims.close()


async def test_there_is_none_unless_asked_for(pools: list[Pool], tmp_path: Path) -> None:
    pool = Pool(tmp_path, most=0)
    pools.append(pool)
    assert pool.warm.take(pool.venv("a")) is None
    await CLOCK.sleep(0.3)
    assert not pool.waiting()


async def test_the_environments_used_last_keep_theirs_and_no_more_than_allowed(
    pools: list[Pool], tmp_path: Path
) -> None:
    pool = Pool(tmp_path, most=2)
    pools.append(pool)
    a, b, c = (pool.venv(name) for name in "abc")
    for venv in (a, b):
        assert pool.warm.take(venv) is None
    await until(lambda: set(pool.waiting()) == {"a", "b"})
    (await pool.taken(a)).close()  # used once more: b is now the one used longest ago
    await until(lambda: set(pool.waiting()) == {"a", "b"})
    assert pool.warm.take(c) is None
    await until(lambda: set(pool.waiting()) == {"a", "c"})


async def test_each_serves_one_task_and_the_next_one_is_another(pools: list[Pool], tmp_path: Path) -> None:
    pool = Pool(tmp_path, most=1)
    pools.append(pool)
    venv = pool.venv("a")
    first, second = await pool.taken(venv), await pool.taken(venv)
    assert first.process.pid != second.process.pid
    for each in (first, second):
        each.close()


async def test_one_that_nobody_wants_ends(pools: list[Pool], tmp_path: Path) -> None:
    pool = Pool(tmp_path, most=1, idle=0.3)
    pools.append(pool)
    pool.warm.take(pool.venv("a"))
    await until(lambda: pool.waiting())
    await until(lambda: not pool.waiting())


async def test_an_environment_that_has_changed_since_is_not_served_by_an_old_interpreter(
    pools: list[Pool], tmp_path: Path
) -> None:
    pool = Pool(tmp_path, most=1)
    pools.append(pool)
    venv = pool.venv("a")
    pool.warm.take(venv)
    await until(lambda: pool.waiting())
    (packages,) = venv.path.glob("lib/python*/site-packages")
    (packages / "added.pth").write_text("/elsewhere\n")
    assert pool.warm.take(venv) is None
    (await pool.taken(venv)).close()


async def test_one_whose_interpreter_was_killed_is_not_given_out(pools: list[Pool], tmp_path: Path) -> None:
    pool = Pool(tmp_path, most=1)
    pools.append(pool)
    venv = pool.venv("a")
    pool.warm.take(venv)
    await until(lambda: pool.waiting())
    interpreter = look(pool.waiting()["a"])
    assert interpreter is not None
    os.kill(interpreter.pid, signal.SIGKILL)
    await until(lambda: not alive(interpreter.parent))
    spare = await pool.taken(venv)
    assert below(spare.process.pid)
    spare.close()


async def test_an_unfit_environment_is_tried_once_and_said_once(pools: list[Pool], tmp_path: Path) -> None:
    pool = Pool(tmp_path, most=1)
    pools.append(pool)
    venv = pool.venv("a")
    (packages,) = venv.path.glob("lib/python*/site-packages")
    (packages / "hook.pth").write_text("import sys\n")
    pool.warm.take(venv)
    await until(lambda: pool.printer.said)
    assert pool.warm.take(venv) is None
    await CLOCK.sleep(0.3)
    assert pool.printer.said == [
        f"tasks in {venv.path} get new interpreters: {packages}/hook.pth runs code in every start"
    ]
