"""The shim's program: `run_shim(socket)` reads an order and sees one process through to its end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import sys

from batuta_agent.shim import processes
from batuta_agent.shim.cgroup import Group
from batuta_agent.shim.cgroup import make as make_group
from batuta_agent.shim.console import Console
from batuta_agent.shim.launch import Launched, Launcher, StartFailed
from batuta_agent.shim.memory import Watch
from batuta_agent.shim.state import (
    CANCEL,
    CANCELLED,
    ENDED,
    LEASE,
    LEASE_LOST,
    RUNNING,
    STATE,
    TERMINATED,
    TIME_LIMIT,
    Order,
    State,
    claim,
    decode_order,
    encode,
    read_record,
    replace,
)
from batuta_agent.shim.stopping import Stopping
from batuta_courier.room import Limits
from batuta_rpc.clock import Clock, SystemClock

_CHUNK = 1 << 20
_LOOK = 1.0
"""Seconds after which deadlines are looked at again: the wait does not count time that the host was suspended."""
_LEFTOVER_GRACE = 1.0
_LEFTOVER_LIMIT = 5.0
_UNKILLABLE = 5.0
"""Seconds after the first SIGKILL at which what still lives counts as unkillable."""
_DRAIN_LIMIT = 2.0


class Shim:
    """One attempt's process, from the order to the record of its end."""

    def __init__(self, clock: Clock, launcher: Launcher, group: Group | None = None) -> None:
        """Everything that can be done before the order is known. `group`: the launcher's fork is in it."""
        self._clock = clock
        self._launcher = launcher
        self._order = Order("", "", (), "", {})
        self._stopping: Stopping | None = None
        self._status: int | None = None
        self._stop_at = 0.0
        self._limit_at = 0.0
        self._group = group or Group("")
        me = os.getpid()
        self._state = State(me, processes.start_of(me), processes.boot_id(), group=self._group.path)
        self._memory: Watch | None = None
        self._signals_read, self._signals_write = os.pipe()
        for handle in (self._signals_read, self._signals_write):
            os.set_blocking(handle, False)

    def run(self, line: bytes, agent: socket.socket) -> None:
        """Claim the order's attempt, run its process, record the end. Raises `ValueError` when `line` is no order."""
        self._order = decode_order(line)
        self._stop_at = self._order.stop_at
        self._listen()
        if not claim(self._order.directory, self._state):
            self._launcher.close()
            self._group.remove()
            _say(agent, self._state._replace(message="another shim has this attempt"))
            return
        console = Console(self._order.spool, Limits(self._order.spool_bytes, self._order.all_bytes), self._clock)
        if 0 < self._stop_at <= self._clock.boottime():  # we slept, or were stopped, since the order was written
            self._launcher.close()
            self._state = self._state._replace(cause=LEASE_LOST)
            self._finish(console, "it was never started", None)
            _say(agent, self._state)
            return
        self._memory = Watch(self._launcher.pid)
        try:
            child = self._launcher.launch(line)
        except StartFailed as error:
            self._finish(console, str(error), 127)
            _say(agent, self._state)
            return
        self._hold()
        self._started(child)
        _say(agent, self._state)
        agent.close()
        self._attend(child, console)
        left = self._sweep(child, console)
        self._drain(child, console)
        self._state = self._state._replace(unkillable=[(pid, processes.start_of(pid)) for pid in left])
        self._finish(console, f"processes that would not die: {left}" if left else "", None)

    def _listen(self) -> None:
        signal.set_wakeup_fd(self._signals_write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGUSR1, signal.SIGTERM):
            signal.signal(number, self._note)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    def _note(self, number: int, _frame: object) -> None:
        if number == signal.SIGTERM:  # the machine goes down, or somebody means this attempt
            self._stop(TERMINATED, min(10.0, self._order.kill_grace))

    def _hold(self) -> None:
        for path in self._order.hold:
            # Where whoever cleans this cache has won the race, the process will say what is missing.
            with contextlib.suppress(OSError):
                fcntl.flock(os.open(path, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_SH | fcntl.LOCK_NB)

    def _started(self, child: Launched) -> None:
        now = self._clock.boottime()
        self._limit_at = now + self._order.time_limit if self._order.time_limit > 0 else 0.0
        self._state = self._state._replace(
            phase=RUNNING,
            child_pid=child.pid,
            child_start=processes.start_of(child.pid),
            start_unix_millis=self._clock.unix_millis(),
        )
        self._save(sync=False)
        self._read_cancel()  # it may have been written before the handler stood

    def _attend(self, child: Launched, console: Console) -> None:
        """Until the process has ended: copy, obey, stop when due."""
        poll = select.poll()
        poll.register(self._signals_read, select.POLLIN)
        poll.register(child.output, select.POLLIN)
        while self._status is None:
            now = self._clock.boottime()
            self._check_deadlines(now)
            self._act(child, now)
            if self._stopping is not None and 0 < self._stopping.killed_at < now - _UNKILLABLE:
                return  # it hangs in the kernel; it will never run a line of its own again
            for handle, _event in poll.poll(self._patience(now) * 1000):
                if handle == self._signals_read:
                    self._take_signals(child)
                elif _copy(child.output, console) == 0:
                    poll.unregister(child.output)  # closed by the process, which may run on in silence

    def _patience(self, now: float) -> float:
        due = [now + _LOOK]
        if self._stopping is not None:
            due.append(self._stopping.next_at())
        else:
            due.extend(at for at in (self._limit_at, self._stop_at) if at > 0)
        return max(0.0, min(due) - now)

    def _check_deadlines(self, now: float) -> None:
        if self._stop_at > 0 and now >= self._stop_at:
            record = read_record(os.path.join(self._order.directory, LEASE)) or {}
            self._stop_at = float(record.get("stop_at", self._stop_at))
            if self._stop_at > 0 and now >= self._stop_at:
                # The grace counts from the end of the lease, not from when we noticed: after a sleep, or a stop of us
                # and the process together, the work may be somebody else's already, and dies at once.
                left = self._stop_at + self._order.kill_grace - now
                self._stop_at = 0.0
                self._stop(LEASE_LOST, max(0.0, left))
        if self._limit_at > 0 and now >= self._limit_at:
            self._limit_at = 0.0
            self._stop(TIME_LIMIT, self._order.kill_grace)

    def _take_signals(self, child: Launched) -> None:
        while True:
            try:
                if len(os.read(self._signals_read, 4096)) < 4096:
                    break
            except BlockingIOError:
                break
        self._read_cancel()
        self._reap(child)

    def _read_cancel(self) -> None:
        record = read_record(os.path.join(self._order.directory, CANCEL))
        if record is not None:
            self._stop(CANCELLED, float(record.get("grace_seconds", self._order.kill_grace)))

    def _stop(self, cause: str, grace: float) -> None:
        now = self._clock.boottime()
        if self._stopping is None:
            self._stopping = Stopping(cause, grace, now)
            self._state = self._state._replace(cause=cause)
        else:
            self._stopping.hurry(cause, grace, now)

    def _act(self, child: Launched, now: float) -> None:
        number = 0 if self._stopping is None else self._stopping.due(now)
        if number:
            self._signal(self._living(child), number)

    def _signal(self, pids: list[int], number: int) -> None:
        if number == signal.SIGKILL:
            self._group.kill()
        processes.send(pids, number)

    def _living(self, child: Launched) -> list[int]:
        return sorted({*self._group.pids(), *_tree(child)})

    def _reap(self, child: Launched) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == child.pid:
                self._status = status

    def _sweep(self, child: Launched, console: Console) -> list[int]:
        """End what the process left behind. Returns the pids that would not go."""
        now = self._clock.boottime()
        mild, end = now + _LEFTOVER_GRACE, now + _LEFTOVER_LIMIT
        number = signal.SIGTERM if self._stopping is None else signal.SIGKILL
        left = self._living(child)
        while left and now < end:
            self._signal(left, int(number))
            poll = select.poll()
            poll.register(self._signals_read, select.POLLIN)
            poll.register(child.output, select.POLLIN)
            for handle, event in poll.poll(50):
                if handle == self._signals_read:
                    self._take_signals(child)
                elif event & select.POLLIN:
                    _copy(child.output, console)
                else:
                    self._clock.sleep_blocking(0.01)  # the pipe is closed already: nothing to wait on
            now = self._clock.boottime()
            if number != signal.SIGKILL:  # SIGTERM once, then only wake what was stopped
                number = signal.SIGKILL if now >= mild else signal.SIGCONT
            left = self._living(child)
        return left

    def _drain(self, child: Launched, console: Console) -> None:
        end = self._clock.boottime() + _DRAIN_LIMIT
        while self._clock.boottime() < end and _copy(child.output, console) > 0:
            continue
        os.close(child.output)

    def _finish(self, console: Console, message: str, exit_code: int | None) -> None:
        console.close()
        signal_number = None
        if self._status is not None:
            if os.WIFSIGNALED(self._status):
                signal_number = os.WTERMSIG(self._status)
            else:
                exit_code = os.WEXITSTATUS(self._status)
        kill = self._memory.kill() if self._memory is not None else None
        if kill is not None:
            self._state = self._state._replace(oom=kill.where, memory_limit=kill.limit, memory_peak=kill.peak)
        self._group.remove()
        self._state = self._state._replace(
            phase=ENDED,
            exit_code=exit_code,
            signal=signal_number,
            message=message,
            dropped_bytes=console.dropped,
            end_unix_millis=self._clock.unix_millis(),
        )
        self._save(sync=True)

    def _save(self, *, sync: bool) -> None:
        try:
            replace(os.path.join(self._order.directory, STATE), encode(self._state), sync=sync)
        except OSError:
            # A full disk: the process goes on. If this was the end, the agent sees a shim gone without a word.
            return


def _tree(child: Launched) -> list[int]:
    below = processes.descendants(os.getpid())
    if below or os.path.isdir("/proc/self"):
        return below
    try:
        os.killpg(child.pid, 0)
    except OSError:
        return []
    return [-child.pid]  # kill() takes a negative pid as the whole group


def _copy(output: int, console: Console) -> int:
    """Copy what is there. Returns the number of bytes; 0 at the end of the pipe, -1 when nothing is there yet."""
    try:
        data = os.read(output, _CHUNK)
    except BlockingIOError:
        return -1
    if data:
        console.write(data)
    return len(data)


def _say(agent: socket.socket, state: State) -> None:
    try:
        agent.sendall(encode(state))
    except OSError:
        return  # the agent is gone; it will read the record


def run_shim(agent: socket.socket, python: str = "") -> None:
    """Wait for an order on `agent` and carry it out. Returns at once when the agent ends without giving one.

    With `python`, an interpreter of it is started meanwhile, and what it says of itself is passed on to the agent.
    """
    processes.adopt_orphans()
    launcher = Launcher(agent.fileno(), python)
    # Here, while nobody waits: taking a process into a group may cost the kernel milliseconds.
    group = make_group()
    if group is not None and not group.add(launcher.pid):
        group.remove()
        group = None
    shim = Shim(SystemClock(), launcher, group)
    line = _wait_for_order(agent, launcher.said)
    if line:
        shim.run(line, agent)
        return
    launcher.close()
    if group is not None:
        group.remove()


def _wait_for_order(agent: socket.socket, said: int) -> bytes:
    """The order; empty when the agent ends, or what was to be the user's process does (the kernel wants memory)."""
    poll = select.poll()
    poll.register(agent, select.POLLIN)
    poll.register(said, select.POLLIN)
    line = b""
    while not line.endswith(b"\n"):
        handles = [handle for handle, _event in poll.poll()]
        if said in handles:
            word = os.read(said, 1 << 12)
            with contextlib.suppress(OSError):
                agent.sendall(word)
            if not word:
                return b""
        if agent.fileno() in handles:
            part = agent.recv(1 << 16)
            if not part:
                return b""
            line += part
    return line


def main() -> None:
    """Run as a program; the agent's socket is standard input, the interpreter to warm up the only argument."""
    with socket.socket(fileno=os.dup(0)) as agent:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.close(null)
        run_shim(agent, *sys.argv[1:])
