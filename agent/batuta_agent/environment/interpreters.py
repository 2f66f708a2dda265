"""Which Python runs a task."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import uv

from batuta_agent.environment.failure import InfrastructureFailed
from batuta_agent.environment.tool import ToolFailed, Tools, last_line

_LIMIT = 60.0
_SAY_VERSION = "import sys; print('%d.%d.%d' % sys.version_info[:3])"


class Interpreter(NamedTuple):
    """A Python on this machine."""

    path: str
    version: str
    """As in `3.11.7`."""


def uv_program() -> str:
    """The path of uv. Raises `InfrastructureFailed` when it is not installed beside the agent."""
    try:
        return uv.find_uv_bin()
    except FileNotFoundError as error:
        raise InfrastructureFailed(f"uv is missing on this agent: {error}") from error


class Interpreters:
    """Finds interpreters, once per version: looking takes as long as starting a run."""

    def __init__(self, offered: Sequence[str] = ()) -> None:
        """`offered`: interpreters that the machine's owner named; they go first."""
        self._offered = tuple(offered)
        self._known: dict[str, Interpreter | None] = {}

    async def find(self, wanted: str, tools: Tools) -> Interpreter:
        """The interpreter of version `wanted` (`3.11`, `3.11.7`; empty: any); the agent's own where there is none.

        Nothing is downloaded. The console is told when another version is used. Raises `InfrastructureFailed` when not
        even the agent's own can be used.
        """
        if wanted not in self._known:
            self._known[wanted] = await self._search(wanted, tools)
        found = self._known[wanted]
        if found is not None:
            return found
        own = own_interpreter()
        tools.say(f"there is no Python {wanted} on this machine; going on with Python {own.version}")
        return own

    async def _search(self, wanted: str, tools: Tools) -> Interpreter | None:
        if not wanted or _matches(own_interpreter().version, wanted):
            return own_interpreter()
        for path in self._offered:
            found = await _ask(path, tools)
            if found is not None and _matches(found.version, wanted):
                return found
        try:
            path = last_line(
                await tools.run(
                    [
                        uv_program(),
                        "python",
                        "find",
                        "--system",
                        "--python-preference",
                        "system",
                        "--no-config",
                        wanted,
                    ],
                    cwd=Path("/"),
                    limit=_LIMIT,
                    env={"UV_PYTHON_DOWNLOADS": "never"},
                    quiet=True,
                )
            )
        except ToolFailed:
            return None
        return await _ask(path, tools)


def own_interpreter() -> Interpreter:
    """The one that runs the agent."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Interpreter(getattr(sys, "_base_executable", "") or sys.executable, version)


def _matches(version: str, wanted: str) -> bool:
    return f"{version}.".startswith(f"{wanted}.")


async def _ask(path: str, tools: Tools) -> Interpreter | None:
    try:
        answer = await tools.run([path, "-I", "-S", "-c", _SAY_VERSION], cwd=Path("/"), limit=_LIMIT, quiet=True)
    except (ToolFailed, InfrastructureFailed):
        return None
    return Interpreter(path, answer.strip())
