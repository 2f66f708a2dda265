"""The shim with real processes: it is started as the agent starts it, and given an order over its socket."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from batuta_agent.ending import of_state
from batuta_agent.health import Health
from batuta_agent.model import Phase
from batuta_agent.shim.cgroup import home
from batuta_agent.shim.main import Shim
from batuta_agent.shim.processes import descendants, look
from batuta_agent.shim.state import CANCELLED, ENDED, LEASE_LOST, TERMINATED, TIME_LIMIT, Order, State
from batuta_agent.shims import RunningShim, ShimPool, Spare, end_abandoned_groups, end_stray_processes
from batuta_agent.testing import until
from batuta_courier import layout
from batuta_courier.room import size_bytes
from batuta_courier.tails import tails
from batuta_rpc.clock import SystemClock
from batuta_rpc.testing import FakeClock

from .conftest import end_everything_below

CLOCK = SystemClock()
IGNORES = "import signal\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\n"
WAITS = "import time\nprint('up', flush=True)\ntime.sleep(1000)\n"


class Bench:
    """One attempt's folder and its shim."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.spool.mkdir()

    def order(self, code: str, **rest: Any) -> Order:
        env = {**os.environ, "BATUTA_SPOOL_DIR": str(self.spool), "PYTHONUNBUFFERED": "1"}
        argv = rest.pop("argv", [sys.executable, "-c", code])
        return Order(str(self.folder), str(self.spool), argv, "/", env, **rest)

    async def begin(self, code: str, **rest: Any) -> tuple[State, RunningShim]:
        state = await Spare(os.environ).order(self.order(code, **rest), CLOCK)
        return state, RunningShim(self.folder, state, CLOCK)

    async def run(self, code: str, **rest: Any) -> State:
        return await self.finish((await self.begin(code, **rest))[1])

    async def finish(self, shim: RunningShim) -> State:
        ended = await asyncio.wait_for(shim.end(), 60)
        assert ended is not None
        assert ended.phase == ENDED
        return ended

    @property
    def console(self) -> str:
        return (self.spool / "console.log").read_text()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncGenerator[Bench]:
    yield Bench(tmp_path)
    end_everything_below(tmp_path)


def runs(pid: int) -> bool:
    process = look(pid)
    return process is not None and not process.gone


async def test_both_outputs_arrive_in_order_and_the_exit_code_is_recorded(bench: Bench) -> None:
    ended = await bench.run("import sys; print('a'); print('b', file=sys.stderr); print('c'); sys.exit(3)")
    assert bench.console == "a\nb\nc\n"
    assert (ended.exit_code, ended.signal) == (3, None)
    assert ended.start_unix_millis <= ended.end_unix_millis


async def test_a_million_lines_arrive_whole_and_quickly(bench: Bench) -> None:
    code = "import sys\nsys.stdout.reconfigure(line_buffering=False, write_through=False)\n"
    code += "for i in range(1000000): sys.stdout.write(f'line {i} ' + 'x' * 60 + chr(10))"
    begun = CLOCK.monotonic()
    order = bench.order(code)
    env = {**order.env}
    del env["PYTHONUNBUFFERED"]  # the writer is not what is measured here
    state = await Spare(os.environ).order(order._replace(env=env), CLOCK)
    await bench.finish(RunningShim(bench.folder, state, CLOCK))
    seconds = CLOCK.monotonic() - begun
    data = (bench.spool / "console.log").read_bytes()
    lines = data.splitlines()
    assert len(lines) == 1_000_000
    assert all(line.startswith(b"line %d " % number) for number, line in enumerate(lines))
    assert len(data) / seconds > 50e6 / 4, "the machine may be shared; alone it is over 50 MB/s"


async def test_a_signal_is_recorded(bench: Bench) -> None:
    assert (await bench.run("import os; os.kill(os.getpid(), 11)")).signal == signal.SIGSEGV


async def test_a_program_that_cannot_be_started_is_told_at_once(bench: Bench) -> None:
    state, _shim = await bench.begin("", argv=["/no/such/program"])
    assert (state.phase, state.exit_code, state.child_pid) == (ENDED, 127, 0)
    assert "/no/such/program" in state.message


async def test_sigint_reaches_the_run_as_keyboard_interrupt_even_where_the_agent_ignores_it(bench: Bench) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a shell's background job
    try:
        code = (
            "import time\ntry:\n  print('up', flush=True); time.sleep(1000)\nexcept KeyboardInterrupt:\n  print('stop')"
        )
        _state, shim = await bench.begin(code)
    finally:
        signal.signal(signal.SIGINT, before)
    await until(lambda: bench.console == "up\n")
    shim.cancel(20.0, 1)
    ended = await bench.finish(shim)
    assert bench.console == "up\nstop\n"
    assert (ended.cause, ended.exit_code) == (CANCELLED, 0)
    assert shim.cancel_reason() == 1


async def test_what_ignores_sigint_and_sigterm_is_killed_when_the_grace_is_over(bench: Bench) -> None:
    _state, shim = await bench.begin(IGNORES + WAITS)
    await until(lambda: bench.console == "up\n")
    begun = CLOCK.monotonic()
    shim.cancel(0.6, 1)
    ended = await bench.finish(shim)
    assert (ended.signal, ended.cause) == (signal.SIGKILL, CANCELLED)
    assert CLOCK.monotonic() - begun > 0.5


async def test_sigterm_follows_after_half_of_the_grace(bench: Bench) -> None:
    _state, shim = await bench.begin("import signal; signal.signal(2, signal.SIG_IGN)\n" + WAITS)
    await until(lambda: bench.console == "up\n")
    shim.cancel(1.0, 1)
    assert (await bench.finish(shim)).signal == signal.SIGTERM


async def test_a_cancel_written_before_the_process_started_is_obeyed(bench: Bench) -> None:
    (bench.folder / "cancel.json").write_text('{"grace_seconds": 0.2, "reason": 1}')
    assert (await bench.run(IGNORES + WAITS)).cause == CANCELLED


async def test_a_daemon_that_left_the_tree_is_ended_with_it(bench: Bench) -> None:
    code = (
        "import os, sys, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        print(os.getpid(), flush=True)\n"
        "        time.sleep(1000)\n"
        "    os._exit(0)\n"
        "os.wait(); time.sleep(0.2)\n"
    )
    ended = await bench.run(code)
    assert (ended.exit_code, ended.message) == (0, "")
    assert not runs(int(bench.console))


async def test_the_time_limit_is_the_shims_own(bench: Bench) -> None:
    ended = await bench.run(WAITS, time_limit=0.3, kill_grace=5.0)
    assert (ended.cause, ended.signal) == (TIME_LIMIT, signal.SIGINT)


async def test_a_lease_that_is_not_renewed_ends_the_run(bench: Bench) -> None:
    ended = await bench.run(WAITS, stop_at=CLOCK.boottime() + 0.3, kill_grace=5.0)
    assert ended.cause == LEASE_LOST


async def test_a_renewed_lease_lets_it_run_on(bench: Bench) -> None:
    state, shim = await bench.begin("import time; time.sleep(1.0)", stop_at=CLOCK.boottime() + 0.5)
    shim.renew(CLOCK.boottime() + 1000)
    ended = await bench.finish(shim)
    assert (ended.cause, ended.exit_code) == ("", 0)
    assert state.child_pid


async def test_after_a_stop_of_the_whole_tree_the_deadline_comes_first(bench: Bench) -> None:
    state, shim = await bench.begin(WAITS, stop_at=CLOCK.boottime() + 0.5, kill_grace=5.0)
    os.kill(state.shim_pid, signal.SIGSTOP)
    await asyncio.sleep(1.0)
    os.kill(state.shim_pid, signal.SIGCONT)
    begun = CLOCK.monotonic()
    assert (await bench.finish(shim)).cause == LEASE_LOST
    assert CLOCK.monotonic() - begun < 1.0


async def test_a_shim_told_to_end_ends_its_run_first(bench: Bench) -> None:
    state, shim = await bench.begin(WAITS)
    os.kill(state.shim_pid, signal.SIGTERM)
    assert (await bench.finish(shim)).cause == TERMINATED


async def test_of_two_shims_with_one_order_only_one_runs_it(bench: Bench) -> None:
    first, second = Spare(os.environ), Spare(os.environ)
    order = bench.order("print('once')")
    states = [await first.order(order, CLOCK), await second.order(order, CLOCK)]
    assert states[1].message == "another shim has this attempt"
    await bench.finish(RunningShim(bench.folder, states[0], CLOCK))
    assert bench.console == "once\n"


async def test_a_killed_shim_takes_its_process_along_and_leaves_no_end(bench: Bench) -> None:
    child = "import os, subprocess; p = subprocess.Popen(['sleep', '1000'])\n"
    child += "open(os.environ['BATUTA_SPOOL_DIR'] + '/child', 'w').write(str(p.pid))\n"
    state, shim = await bench.begin(child + WAITS)
    await until(lambda: bench.console == "up\n")
    os.kill(state.shim_pid, signal.SIGKILL)
    assert await shim.end() is None
    await until(lambda: not runs(state.child_pid))
    assert end_stray_processes(bench.folder) == []
    assert not runs(int((bench.spool / "child").read_text()))


async def test_a_spare_ends_when_the_agent_lets_go(tmp_path: Path) -> None:
    spare = Spare(os.environ)
    assert runs(spare.process.pid)
    spare.close()
    assert await asyncio.wait_for(spare.process.end(CLOCK), 20) == 0


async def test_the_pool_has_one_shim_ready_and_ends_it_at_the_end(tmp_path: Path) -> None:
    pool = ShimPool(os.environ, CLOCK)
    pool.fill()
    taken = pool.take()
    other = pool.take()
    assert taken.process.pid != other.process.pid
    for each in (taken, other):
        each.close()
    pool.fill()
    await pool.close()


async def test_the_caches_of_a_run_are_locked_as_long_as_it_lives(bench: Bench) -> None:
    held = bench.folder / "venv.lock"
    held.touch()
    _state, shim = await bench.begin("input() if False else __import__('time').sleep(0.5)", hold=[str(held)])
    with held.open() as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        await bench.finish(shim)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


FLOOD = """
import os
from pathlib import Path
from batuta_courier.producer import ProducerSpool
from batuta_rpc.clock import SystemClock
producer = ProducerSpool(Path(os.environ["BATUTA_SPOOL_DIR"]), SystemClock(), "x", notify=print, records=1024)
line = b"x" * 999 + b"\\n"
for at in range(20_000):
    os.write(1, line)
    if at % 4 == 0:
        producer.scalars.report("loss", "train", 1.0, at)
producer.close()
os._exit(3 if producer.scalars.dropped else 0)
"""


async def flood(bench: Bench, **limits: int) -> None:
    """20 MB of output cost no scalar, and what is missing of them stands where it is missing."""
    layout.create(bench.spool, layout.RunInfo("t", 1, "api", layout.AGENT, **limits))
    ended = await bench.run(FLOOD, **limits)
    assert ended.exit_code == 0
    assert ended.dropped_bytes > 0
    assert bench.console.count("x" * 999 + "\n") == 20_000 - ended.dropped_bytes // 1000
    assert re.findall(r"batuta: (\d+) bytes of output are missing here", bench.console) == [str(ended.dropped_bytes)]
    ends = {tail.kind: tail.end for tail in tails(bench.spool)}
    assert ends["scalars"] == 5_000


async def test_a_flood_of_output_that_fills_the_spool_costs_no_scalar(bench: Bench) -> None:
    await flood(bench, spool_bytes=8 << 20)
    assert size_bytes(bench.spool) < 8 << 20


async def test_a_flood_of_output_that_fills_the_disk_costs_no_scalar(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(8)
    await flood(Bench(disk))
    end_everything_below(disk)


async def test_what_other_attempts_keep_counts_against_the_limit_of_all(bench: Bench, tmp_path: Path) -> None:
    other = tmp_path / "attempts" / "other.1" / "spool"
    other.mkdir(parents=True)
    (other / "console.log").write_bytes(bytes(12 << 20))
    mine = tmp_path / "attempts" / "t.1"
    mine.mkdir()
    await flood(Bench(mine), all_bytes=20 << 20)
    assert size_bytes(mine / "spool") < 8 << 20


async def test_a_process_that_closes_its_output_runs_on(bench: Bench) -> None:
    ended = await bench.run("import os, sys, time\nos.close(1); os.close(2)\ntime.sleep(0.3); os._exit(5)")
    assert ended.exit_code == 5


async def test_it_wakes_the_courier(bench: Bench) -> None:
    os.mkfifo(bench.spool / "wake")
    reader = os.open(bench.spool / "wake", os.O_RDWR | os.O_NONBLOCK)
    await bench.run("print('x')")
    assert os.read(reader, 100)
    os.close(reader)


async def test_the_file_it_records_in_is_private(bench: Bench) -> None:
    with contextlib.suppress(FileNotFoundError):
        (bench.folder / "state.json").unlink()
    await bench.run("pass")
    assert (bench.folder / "state.json").stat().st_mode & 0o777 == 0o600


CLEAN_DAEMON = (
    "import os, sys, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        open(os.environ['BATUTA_SPOOL_DIR'] + '/daemon', 'w').write(str(os.getpid()))\n"
    "        os.execve(sys.executable, [sys.executable, '-c', DAEMON], {})\n"
    "    os._exit(0)\n"
    "os.wait()\n"
)
DEAF = "import os, signal, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; os.chdir('/'); "
DEAF_AND_CLOSED = DEAF + "[os.close(n) for n in (0, 1, 2)]; time.sleep(1000)"
DEAF_AND_HOLDING = DEAF + "time.sleep(1000)"

needs_groups = pytest.mark.skipif(not home(), reason="no control groups of version 2 on this machine")


def exists(path: str) -> bool:
    return Path(path).exists()


def daemon_of(bench: Bench) -> int:
    return int((bench.spool / "daemon").read_text())


def deaf_daemon(then: str, daemon: str = DEAF_AND_CLOSED) -> str:
    return f"DAEMON = {daemon!r}\n{CLEAN_DAEMON}\ntime.sleep(0.3)\n{then}"


async def up(bench: Bench) -> None:
    await until(lambda: bench.console == "up\n")


def test_a_shim_is_in_a_session_of_its_own_so_that_signals_to_the_agents_do_not_reach_it() -> None:
    spare = Spare(os.environ)
    assert os.getsid(spare.process.pid) == spare.process.pid != os.getsid(0)
    spare.close()


@pytest.mark.parametrize("daemon", [DEAF_AND_CLOSED, DEAF_AND_HOLDING], ids=["closed", "holds the pipe"])
async def test_a_daemon_that_ignores_signals_and_has_lost_its_environment_is_gone_with_the_run(
    bench: Bench, daemon: str
) -> None:
    begun = CLOCK.monotonic()
    ended = await bench.run(deaf_daemon("", daemon))
    assert (ended.exit_code, ended.message, list(ended.unkillable)) == (0, "", [])
    assert not runs(daemon_of(bench))
    assert CLOCK.monotonic() - begun < 5


async def test_after_a_cancel_nothing_of_the_tree_is_left_within_the_grace_and_five_seconds(bench: Bench) -> None:
    _state, shim = await bench.begin(IGNORES + deaf_daemon(WAITS))
    await up(bench)
    begun = CLOCK.monotonic()
    shim.cancel(1.0, 1)
    await bench.finish(shim)
    assert CLOCK.monotonic() - begun < 6.0
    assert not runs(daemon_of(bench))


@needs_groups
async def test_what_a_killed_shim_leaves_dies_whatever_it_did_to_its_session_and_environment(bench: Bench) -> None:
    state, shim = await bench.begin(deaf_daemon(WAITS))
    await up(bench)
    assert runs(daemon_of(bench))
    os.kill(state.shim_pid, signal.SIGKILL)
    assert await shim.end() is None
    assert end_stray_processes(bench.folder, state.group) == []
    assert not runs(daemon_of(bench))
    assert not exists(state.group)


async def test_without_control_groups_what_kept_its_environment_or_its_parent_or_its_folder_dies(
    bench: Bench,
) -> None:
    (bench.folder / "work").mkdir()
    code = (
        "import os, subprocess\n"
        "shell = 'sleep 1000 & echo $! >> \"$0\"; wait'\n"
        "pids = os.environ['BATUTA_SPOOL_DIR'] + '/pids'\n"
        "detached = dict(start_new_session=True)\n"
        "a = subprocess.Popen(['sh', '-c', shell, pids], **detached)\n"
        "b = subprocess.Popen(['/bin/sleep', '1000'], env={}, cwd=os.environ['BATUTA_SPOOL_DIR'] + '/..', **detached)\n"
        "open(pids, 'a').write(f'{a.pid}\\n{b.pid}\\n')\n"
    )
    state, shim = await bench.begin(code + WAITS)
    await up(bench)
    await until(lambda: len((bench.spool / "pids").read_text().split()) == 3)
    os.kill(state.shim_pid, signal.SIGKILL)
    assert await shim.end() is None
    assert end_stray_processes(bench.folder) == []
    assert [pid for pid in map(int, (bench.spool / "pids").read_text().split()) if runs(pid)] == []


@needs_groups
async def test_an_agent_that_starts_ends_what_a_shim_left_that_died_with_the_agent_before(bench: Bench) -> None:
    state, shim = await bench.begin(deaf_daemon(WAITS))
    await up(bench)
    os.kill(state.shim_pid, signal.SIGKILL)
    await shim.end()
    assert end_abandoned_groups() >= 1
    assert not runs(daemon_of(bench))
    assert not exists(state.group)


@needs_groups
async def test_groups_go_with_their_runs_and_the_groups_of_living_shims_stay(bench: Bench) -> None:
    state, shim = await bench.begin(WAITS)
    end_abandoned_groups()
    assert runs(state.child_pid)
    shim.cancel(0.1, 1)
    await bench.finish(shim)
    assert not exists(state.group)


async def test_a_run_woken_after_its_lease_and_grace_are_over_is_killed_within_a_tenth_of_a_second(
    bench: Bench,
) -> None:
    state, shim = await bench.begin(IGNORES + WAITS, stop_at=CLOCK.boottime() + 1.0, kill_grace=0.5)
    await up(bench)
    for pid in (state.shim_pid, state.child_pid):
        os.kill(pid, signal.SIGSTOP)
    await CLOCK.sleep(2.0)
    os.kill(state.child_pid, signal.SIGCONT)
    os.kill(state.shim_pid, signal.SIGCONT)
    begun = CLOCK.monotonic()
    await until(lambda: not runs(state.child_pid))
    assert CLOCK.monotonic() - begun < 0.1 + 0.1, "a tenth for the kill, a tenth for us on a shared machine"
    assert (await bench.finish(shim)).cause == LEASE_LOST


async def test_an_order_whose_lease_is_over_is_not_carried_out(bench: Bench) -> None:
    state, _shim = await bench.begin("print('ran')", stop_at=CLOCK.boottime() - 0.1)
    assert (state.phase, state.cause, state.child_pid) == (ENDED, LEASE_LOST, 0)
    assert bench.console == ""


async def test_a_wall_clock_that_is_a_year_off_changes_nothing_about_deadlines(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for years in (-1, 1):
        clock = FakeClock()
        clock.jump(years * 365 * 86400)
        shim = Shim(clock, SimpleNamespace(close=lambda: None))  # type: ignore[arg-type]
        shim._stop_at = 100.0
        shim._check_deadlines(clock.boottime())
        assert shim._stopping is None
        clock.advance(100.0)
        shim._check_deadlines(clock.boottime())
        assert shim._stopping is not None


FREEZER = Path("/sys/fs/cgroup/freezer")


@pytest.fixture
def freezer() -> Generator[Path]:
    """A group whose processes do not even die, as those that hang in the kernel."""
    group = FREEZER / f"batuta-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("needs root and the freezer of control groups version 1")
    yield group
    (group / "freezer.state").write_text("THAWED")
    until_gone = CLOCK.monotonic() + 10
    while (group / "cgroup.procs").read_text() and CLOCK.monotonic() < until_gone:
        CLOCK.sleep_blocking(0.05)
    group.rmdir()


async def test_a_process_that_cannot_be_killed_does_not_hold_the_end_up_and_is_named(
    bench: Bench, freezer: Path
) -> None:
    state, shim = await bench.begin(WAITS)
    await up(bench)
    (freezer / "cgroup.procs").write_text(str(state.child_pid))
    (freezer / "freezer.state").write_text("FROZEN")
    begun = CLOCK.monotonic()
    shim.cancel(0.5, 1)
    ended = await bench.finish(shim)
    assert CLOCK.monotonic() - begun < 0.5 + 5 + 5 + 3
    assert [each[0] for each in ended.unkillable] == [state.child_pid]
    health = Health()
    health.stuck("task t", [(each[0], each[1]) for each in ended.unkillable])
    assert health.reason == f"processes of task t hang in the kernel and cannot be killed (pid {state.child_pid})"
    (freezer / "freezer.state").write_text("THAWED")
    await until(lambda: health.reason == "")


@pytest.fixture
def small_memory() -> Generator[Path]:
    """A memory group of 64 MiB."""
    mounted = Path("/sys/fs/cgroup/memory")
    ours = [line for line in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in line]
    group = mounted / (ours[0].split(":", 2)[2].lstrip("/") if ours else "") / f"batuta-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(64 << 20))
    except OSError:
        pytest.skip("needs root and the memory controller of control groups version 1")
    yield group
    until_gone = CLOCK.monotonic() + 10
    while (group / "cgroup.procs").read_text() and CLOCK.monotonic() < until_gone:
        CLOCK.sleep_blocking(0.05)
    group.rmdir()


async def test_a_kill_for_want_of_memory_is_told_apart_and_the_last_line_is_kept(
    bench: Bench, small_memory: Path
) -> None:
    spare = Spare(os.environ)
    await until(lambda: descendants(spare.process.pid))
    for pid in (spare.process.pid, *descendants(spare.process.pid)):
        (small_memory / "cgroup.procs").write_text(str(pid))
    state = await spare.order(bench.order("print('the last line')\nx = b'x' * (200 << 20)\n"), CLOCK)
    ended = await bench.finish(RunningShim(bench.folder, state, CLOCK))
    assert bench.console == "the last line\n"
    found = of_state(ended, 0, "")
    assert (found.phase, found.reason, found.signal) == (Phase.FAILED, "OOM", signal.SIGKILL)
    assert found.message == "killed by the kernel for want of memory: it had used 64 MiB, of 64 MiB allowed"


async def test_a_kill_by_somebody_else_is_no_want_of_memory(bench: Bench) -> None:
    state, shim = await bench.begin(WAITS)
    await up(bench)
    os.kill(state.child_pid, signal.SIGKILL)
    found = of_state(await bench.finish(shim), 0, "")
    assert (found.reason, found.message) == ("SIGNAL", "killed by SIGKILL")
