"""Waiting for the end of processes that may not be our children: the runs and couriers of an agent before us."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from batuta_agent.shim import processes
from batuta_rpc.clock import Clock

_POLL = 0.5


async def process_end(pid: int, start: int, clock: Clock) -> None:
    """Return once the process that began at `start` under `pid` has ended; at once if it has already."""
    if not processes.is_alive(pid, start):
        return
    try:
        handle = os.pidfd_open(pid)
    except (AttributeError, OSError):  # not Linux, or ended just now
        handle = -1
    if handle < 0:
        while processes.is_alive(pid, start):
            await clock.sleep(_POLL)
        return
    try:
        # Looked at again with the handle open: from here on the pid cannot become another process's unseen.
        if processes.is_alive(pid, start):
            await _readable(handle)
    finally:
        os.close(handle)


async def _readable(handle: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(handle, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(handle)


class Started:
    """A process of ours that lives in a session of its own and may outlive us."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid
        self.start = processes.start_of(process.pid)

    async def end(self, clock: Clock) -> int:
        """Wait for it. Returns its exit code, negative for a signal."""
        await process_end(self.pid, self.start, clock)
        return self._process.wait()  # at once: it only takes the status off the kernel

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End it."""
        self._process.kill()


def start(argv: Sequence[str], env: Mapping[str, str], cwd: Path, stdin: int = subprocess.DEVNULL) -> Started:
    """Start a process whose output is dropped. Raises `OSError`."""
    null = subprocess.DEVNULL
    process = subprocess.Popen(
        argv, env=dict(env), cwd=cwd, stdin=stdin, stdout=null, stderr=null, start_new_session=True
    )
    return Started(process)
