"""The agent's side of the shim: a spare one kept warm, the order, and what may be told to a shim that runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import batuta_agent
import batuta_courier
import batuta_rpc
from batuta_agent.shim import processes
from batuta_agent.shim.cgroup import Group, abandoned
from batuta_agent.shim.launch import warm_mark
from batuta_agent.shim.state import CANCEL, ENDED, LEASE, Order, State, encode, read_record, read_state, replace
from batuta_agent.waiting import process_end, start
from batuta_rpc.clock import Clock, SystemClock, within

READY = "ready"
_ANSWER_LIMIT = 30.0
_REFILL_DELAY = 0.1
"""Seconds before a spare is replaced: the run that took it starts an interpreter just now, and goes first."""
_MOST_SPARES = 8
_STRAY_LIMIT = 5.0
_STRAY_LOOK = 0.02


class ShimFailed(Exception):
    """A shim could not be started, or did not answer."""


def _argv() -> list[str]:
    roots = sorted(
        {str(Path(each.__file__ or "").parent.parent) for each in (batuta_agent, batuta_courier, batuta_rpc)}
    )
    code = f"import sys; sys.path[:0] = {roots!r}; from batuta_agent.shim.main import main; main()"
    return [sys.executable, "-I", "-S", "-c", code]


class Spare:
    """A shim that waits for its order. It ends by itself when the agent does."""

    def __init__(self, env: Mapping[str, str], python: str = "") -> None:
        """Start it. With `python` it keeps an interpreter of that in `env` warm. Raises `ShimFailed`."""
        ours, theirs = socket.socketpair()
        warm = [python] if python else []
        try:
            self.process = start([*_argv(), *warm], env, Path("/"), stdin=theirs.fileno())
        except OSError as error:
            ours.close()
            raise ShimFailed(f"cannot start a shim: {error}") from error
        finally:
            theirs.close()
        ours.setblocking(False)
        self._socket = ours

    async def ready(self, clock: Clock) -> str:
        """What its warm interpreter says once it has started: `READY`, or why it does not serve.

        Raises `ShimFailed` when nothing is said.
        """
        try:
            return (await within(clock, _ANSWER_LIMIT, self._line())).decode(errors="replace").strip()
        except (OSError, ValueError, asyncio.TimeoutError) as error:
            raise ShimFailed(f"the interpreter does not answer: {error or type(error).__name__}") from error

    async def order(self, order: Order, clock: Clock) -> State:
        """Give it its order. Returns the state once the user's process runs, or could not be started.

        Raises `ShimFailed` when no answer comes.
        """
        try:
            line = await within(clock, _ANSWER_LIMIT, self._exchange(encode(order)))
            return State(**json.loads(line))
        except (OSError, ValueError, TypeError, asyncio.TimeoutError) as error:
            raise ShimFailed(f"the shim does not answer: {error or type(error).__name__}") from error
        finally:
            self._socket.close()

    async def _exchange(self, line: bytes) -> bytes:
        await asyncio.get_running_loop().sock_sendall(self._socket, line)
        return await self._line()

    async def _line(self) -> bytes:
        loop = asyncio.get_running_loop()
        answer = b""
        while not answer.endswith(b"\n"):
            part = await loop.sock_recv(self._socket, 1 << 16)
            if not part:
                raise ValueError("it ended")
            answer += part
        return answer

    def close(self) -> None:
        """Let it go unused."""
        self._socket.close()


class ShimPool:
    """Keeps a spare for every place, so that a run waits for one interpreter to start, not for two."""

    def __init__(self, env: Mapping[str, str], clock: Clock, places: int = 1) -> None:
        """`places`: how many runs there may be at once; at most 8 spares are kept for them."""
        self._env = env
        self._clock = clock
        self._size = min(places, _MOST_SPARES)
        self._spares: list[Spare] = []
        self._refill: asyncio.Task[None] | None = None
        self._used: set[asyncio.Task[int]] = set()

    def fill(self) -> None:
        """Start the spares that are missing. Raises `ShimFailed`."""
        while self._lacking():
            self._add()

    def _lacking(self) -> bool:
        self._spares = [each for each in self._spares if not each.process.ended]
        return len(self._spares) < self._size

    def _add(self) -> None:
        self._spares.append(self.start(self._env))

    def start(self, env: Mapping[str, str], python: str = "") -> Spare:
        """A shim beside those that are kept, for who lets it go himself. Raises `ShimFailed`."""
        spare = Spare(env, python)
        # Reaps it: a child that nobody waits for stays a zombie.
        reaper = asyncio.ensure_future(spare.process.end(self._clock))
        self._used.add(reaper)
        reaper.add_done_callback(self._used.discard)
        return spare

    def take(self) -> Spare:
        """A shim that waits for its order; the next one is started a moment later. Raises `ShimFailed`."""
        if self._lacking() and not self._spares:
            self._add()
        spare = self._spares.pop(0)  # the oldest is the readiest
        if self._refill is None or self._refill.done():
            self._refill = asyncio.ensure_future(self._refill_later())
        return spare

    async def close(self) -> None:
        """Let the spare go. Shims with an order run on."""
        for task in (self._refill, *self._used):
            if task is not None:
                task.cancel()
        for spare in self._spares:
            spare.close()
        for spare in self._spares:
            await process_end(spare.process.pid, spare.process.start, self._clock)

    async def _refill_later(self) -> None:
        while self._lacking():
            await self._clock.sleep(_REFILL_DELAY)  # one after another: a burst of runs needs the cores itself
            try:
                self._add()
            except ShimFailed:
                return  # the next run says it


class RunningShim:
    """A shim that has its order, ours or that of an agent before us in the same state folder."""

    def __init__(self, directory: Path, state: State, clock: Clock) -> None:
        self._directory = directory
        self._state = state
        self._clock = clock

    @property
    def alive(self) -> bool:
        """Whether it runs: pid, start time and boot agree."""
        same_boot = self._state.boot_id == processes.boot_id()
        return same_boot and processes.is_alive(self._state.shim_pid, self._state.shim_start)

    def cancel(self, grace: float, reason: int) -> None:
        """Have it stop its process: SIGINT now, SIGTERM after half of `grace` seconds, SIGKILL at the end.

        `reason` is a `CancelReason`, kept for an agent after this one.
        """
        record = json.dumps({"grace_seconds": grace, "reason": reason}).encode()
        with contextlib.suppress(FileNotFoundError):  # the run has ended and its folder is deleted
            replace(str(self._directory / CANCEL), record, sync=False)
        if self.alive:
            processes.send([self._state.shim_pid], signal.SIGUSR1)

    def cancel_reason(self) -> int:
        """The reason of the cancel that was sent; 0 when none was."""
        record = read_record(str(self._directory / CANCEL)) or {}
        return int(record.get("reason", 0))

    def renew(self, stop_at: float) -> None:
        """Tell it until which second of CLOCK_BOOTTIME its lease lives."""
        with contextlib.suppress(OSError):  # as above, or a full disk: the next heartbeat tries again
            replace(str(self._directory / LEASE), json.dumps({"stop_at": stop_at}).encode(), sync=False)

    async def end(self) -> State | None:
        """Wait for it. Returns its last record; None when it is gone without having recorded an end."""
        if self._state.phase != ENDED:
            if self.alive:
                await process_end(self._state.shim_pid, self._state.shim_start, self._clock)
            self._state = read_state(str(self._directory)) or self._state
        return self._state if self._state.phase == ENDED else None


def end_stray_processes(directory: Path, group: str = "", limit: float = _STRAY_LIMIT) -> list[int]:
    """Kill what a dead shim left, and wait up to `limit` seconds until it is gone. Returns the pids that would not go.

    The kernel has killed the user's first process with the shim; what that one had started runs on. `group` is the
    control group that all of it is in. Where there is none, it is known by the environment, which names this attempt's
    spool, by its working directory, or as a child of one that is known.
    """
    clock, inside = SystemClock(), Group(group)
    end = clock.monotonic() + limit
    while True:
        inside.kill()
        found = sorted({*inside.pids(), *_strays(directory)})
        processes.send(found, signal.SIGKILL)
        if not found or clock.monotonic() >= end:
            inside.remove()
            return found
        clock.sleep_blocking(_STRAY_LOOK)


def end_abandoned_groups(limit: float = _STRAY_LIMIT) -> int:
    """Kill everything whose shim died while no agent lived. Returns how many groups that were."""
    clock = SystemClock()
    end = clock.monotonic() + limit
    groups = abandoned()
    for each in groups:
        each.kill()
    left = groups
    while (left := [each for each in left if not each.remove()]) and clock.monotonic() < end:
        clock.sleep_blocking(_STRAY_LOOK)
    return len(groups)


def _strays(directory: Path) -> list[int]:
    marks = {f"BATUTA_SPOOL_DIR={directory / 'spool'}".encode()}
    state = read_state(str(directory))
    if state is not None:
        marks.add(warm_mark(state.shim_pid, state.shim_start).encode())
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()] if os.path.isdir("/proc") else []
    marked = [pid for pid in pids if pid != os.getpid() and (_is_marked(pid, marks) or _works_in(pid, directory))]
    found = {child for pid in marked for child in processes.descendants(pid)} | set(marked)
    return [pid for pid in found if (process := processes.look(pid)) is not None and not process.gone]


def _works_in(pid: int, directory: Path) -> bool:
    try:
        return f"{os.readlink(f'/proc/{pid}/cwd')}/".startswith(f"{directory}/")
    except OSError:
        return False


def _is_marked(pid: int, marks: set[bytes]) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return not marks.isdisjoint(file.read().split(b"\0"))
    except OSError:
        return False
