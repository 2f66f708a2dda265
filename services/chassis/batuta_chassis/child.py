"""A child process that is kept alive: started again with growing pauses when it ends by itself.

The child runs in a session of its own, so that Ctrl-C reaches only us and the order of the end is ours. It learns of
our death from the kernel (Linux), so that a kill -9 leaves no orphan that holds the state folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Sequence

from batuta_rpc.backoff import Backoff
from batuta_rpc.clock import Clock, within
from batuta_rpc.ids import Ids

_log = logging.getLogger(__name__)
_LIVED = 30.0
_PATIENCE = 20.0
FINAL_STATUS = 78
"""With this exit status a child says: do not start me again (another took over)."""

# A tiny program that asks for SIGTERM at its parent's death, checks that the parent still lives, and becomes the
# real one. As a program of its own, because nothing may run between fork and exec in a process with threads.
_LEASH = """
import ctypes, os, signal, sys
parent = int(sys.argv[1])
try:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
except (AttributeError, OSError):
    pass
if os.getppid() == parent:
    os.execv(sys.argv[2], sys.argv[2:])
"""


class Child:
    """One supervised child process."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], pid: int, clock: Clock, ids: Ids) -> None:
        """`command` begins with the path of a program; `pid` is our own."""
        self._command = [sys.executable, "-I", "-S", "-c", _LEASH, str(pid), *command]
        self._environment = environment
        self._clock = clock
        self._ids = ids
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the present run."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start it and keep it."""
        self._task = asyncio.create_task(self._keep(), name="child")

    async def ended(self) -> None:
        """Wait until it has ended for good."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self) -> None:
        """SIGINT, and SIGKILL when it has not ended in time. Awaits its end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
            try:
                await within(self._clock, _PATIENCE, process.wait())
            except TimeoutError:
                _log.warning("the child did not end within %.0f s and is killed", _PATIENCE)
                process.kill()
        await process.wait()

    async def _keep(self) -> None:
        backoff = Backoff(self._ids, first=0.5, cap=30.0)
        while True:
            started = self._clock.monotonic()
            self._process = await asyncio.create_subprocess_exec(
                *self._command, env=self._environment, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
            )
            status = await self._process.wait()
            if status == FINAL_STATUS:
                _log.error("the child ended for good with status %d", status)
                return
            if self._clock.monotonic() - started > _LIVED:
                backoff.reset()
            wait = backoff.next()
            _log.warning("the child ended with status %d and is started again in %.1f s", status, wait)
            await self._clock.sleep(wait)
