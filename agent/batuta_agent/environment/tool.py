"""Running git and uv: output line by line, a deadline, and no process left behind when the caller is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from batuta_agent.environment.failure import InfrastructureFailed
from batuta_rpc.clock import Clock, within

_KEPT = 64 * 1024
_END_LIMIT = 10.0


class ToolFailed(Exception):
    """A program ended with an error. `output` is the end of what it printed."""

    def __init__(self, argv: Sequence[str], code: int, output: str) -> None:
        super().__init__(f"{Path(argv[0]).name} ended with {code}: {last_line(output)}")
        self.code = code
        self.output = output


class Tools:
    """How programs are run for one attempt: their environment, where their output goes, the clock."""

    def __init__(self, env: Mapping[str, str], say: Callable[[str], None], clock: Clock) -> None:
        """`say` takes each line for the attempt's console."""
        self.env = dict(env)
        self.say = say
        self.clock = clock

    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        limit: float,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        quiet: bool = False,
    ) -> str:
        """Run a program for at most `limit` seconds. Returns what it printed, both outputs together (its last 64 KiB).

        Raises `ToolFailed` when it ends with an error, `InfrastructureFailed` when it is not there or takes too long.
        """
        process = await self._start(argv, cwd, {**self.env, **(env or {})}, stdin is not None)
        try:
            output = await within(self.clock, limit, self._talk(process, stdin, quiet))
        except asyncio.TimeoutError as error:
            raise InfrastructureFailed(f"{Path(argv[0]).name} did not end within {limit:g} s") from error
        finally:
            await _end(process, self.clock)
        code = process.returncode if process.returncode is not None else -1
        if code != 0:
            raise ToolFailed(argv, code, output)
        return output

    async def _start(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], talks: bool
    ) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *argv,
                cwd=cwd,
                env=env,
                stdin=asyncio.subprocess.PIPE if talks else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                limit=1 << 20,
            )
        except OSError as error:
            raise InfrastructureFailed(f"cannot start {argv[0]}: {error.strerror or error}") from error

    async def _talk(self, process: asyncio.subprocess.Process, stdin: bytes | None, quiet: bool) -> str:
        feeding = asyncio.ensure_future(_feed(process, stdin)) if stdin is not None else None
        kept, line = bytearray(), b""
        assert process.stdout is not None
        try:
            while part := await process.stdout.read(1 << 16):
                kept += part
                del kept[:-_KEPT]
                *whole, line = (line + part).split(b"\n")
                line = line[-_KEPT:]  # a program need not end its lines
                for each in whole if not quiet else ():
                    self.say(each.decode(errors="replace").rstrip())
            if line and not quiet:
                self.say(line.decode(errors="replace"))
            await process.wait()
        finally:
            if feeding is not None:
                feeding.cancel()
        return kept.decode(errors="replace")


def last_line(text: str) -> str:
    """The last line with something in it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


async def _feed(process: asyncio.subprocess.Process, data: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data)
        await process.stdin.drain()
        process.stdin.close()


async def _end(process: asyncio.subprocess.Process, clock: Clock) -> None:
    """Kill what is left of the program and its children: they have a process group of their own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.returncode is None:
        with contextlib.suppress(asyncio.TimeoutError):
            await within(clock, _END_LIMIT, process.wait())
