"""Virtual environments by uv, cached by what is in them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from batuta_agent.environment import requirements
from batuta_agent.environment.failure import InfrastructureFailed, PreparationFailed
from batuta_agent.environment.interpreters import Interpreter, uv_program
from batuta_agent.environment.locks import FileLock, try_lock
from batuta_agent.environment.requirements import Requirement
from batuta_agent.environment.sdk_wheel import SdkWheel
from batuta_agent.environment.tool import ToolFailed, Tools, last_line

LIMIT = 20
"""How many environments are kept; those longest unused go first, one in use never."""
_BUILD_LIMIT = 3600.0
_LOOK = 0.1
_COMPLETE = ".batuta-complete"
_NETWORK = re.compile(
    r"error sending request|dns error|connection (refused|reset|closed)|timed? ?out|could not connect|temporary failure"
    r"|request failed after|failed to fetch|failed to download|network (is )?(down|unreachable)|\btls\b|certificate"
    r"|\b50[0234] ",
    re.IGNORECASE,
)
_NOT_FOUND = re.compile(r"not found in the (package registry|provided)|no versions? of|no solution|unsatisfiable", re.I)


class Venv(NamedTuple):
    """An environment that is ready. It is not deleted as long as `held` is not released or a shim holds `lock`."""

    python: str
    path: Path
    lock: Path
    held: FileLock
    cached: bool


class VenvCache:
    """All environments under one folder, shared by the agents of one user."""

    def __init__(self, root: Path, limit: int = LIMIT) -> None:
        self._root = root
        self._limit = limit

    async def get(self, python: Interpreter, wanted: Sequence[Requirement], sdk: SdkWheel, tools: Tools) -> Venv:
        """The environment with these packages, built if need be.

        A requirement on our own SDK is met by `sdk`, whatever version it names. Raises `PreparationFailed` when a
        package cannot be had, `InfrastructureFailed` when the registry or this machine is at fault.
        """
        key = _key(python, wanted, sdk)
        path, lock_path = self._root / key, self._root / f"{key}.lock"
        held = await self._complete_or_mine(path, lock_path, tools)
        cached = (path / _COMPLETE).exists()
        try:
            if cached:
                os.utime(path / _COMPLETE)
            else:
                await self._build(path, python, wanted, sdk, tools)
            held.share()
        except BaseException:
            held.release()
            raise
        if not cached:
            await asyncio.to_thread(self.clean)
        return Venv(str(path / "bin" / "python"), path, lock_path, held, cached)

    async def _complete_or_mine(self, path: Path, lock_path: Path, tools: Tools) -> FileLock:
        """A shared lock on an environment that is ready, or the exclusive one on one that is not."""
        end = tools.clock.monotonic() + _BUILD_LIMIT
        while tools.clock.monotonic() < end:
            held = try_lock(lock_path, shared=True)
            if held is not None and (path / _COMPLETE).exists():
                return held
            if held is not None:
                held.release()
            # Whoever has it exclusively builds it now, and shares it when it is ready.
            held = try_lock(lock_path)
            if held is not None:
                return held
            await tools.clock.sleep(_LOOK)
        raise InfrastructureFailed(f"{path} has been in the making by another agent for {_BUILD_LIMIT:g} s")

    def clean(self) -> None:
        """Delete what is beyond the limit, longest unused first. One in use is passed over."""
        by_age = sorted(self._root.glob(f"*/{_COMPLETE}"), key=_age)
        beyond = len(by_age) - self._limit
        for mark in by_age:
            held = try_lock(mark.parent.with_name(f"{mark.parent.name}.lock")) if beyond > 0 else None
            if held is not None:
                mark.unlink(missing_ok=True)  # first: half an environment must never look whole
                shutil.rmtree(mark.parent, ignore_errors=True)
                held.release()
                beyond -= 1

    async def _build(
        self, path: Path, python: Interpreter, wanted: Sequence[Requirement], sdk: SdkWheel, tools: Tools
    ) -> None:
        tools.say(f"building an environment: Python {python.version}, {len(wanted)} packages asked for")
        started = tools.clock.monotonic()
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
        try:
            await self._install(path, python, wanted, sdk, tools)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, path, ignore_errors=True))
            raise
        (path / _COMPLETE).touch()
        tools.say(f"the environment is ready after {tools.clock.monotonic() - started:.1f} s")

    async def _install(
        self, path: Path, python: Interpreter, wanted: Sequence[Requirement], sdk: SdkWheel, tools: Tools
    ) -> None:
        program, env = uv_program(), {"UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}
        argv = [program, "venv", "--quiet", "--no-project", "--python", python.path, str(path)]
        try:
            await tools.run(argv, cwd=self._root, limit=_BUILD_LIMIT, env=env)
        except ToolFailed as error:
            raise InfrastructureFailed(f"cannot make an environment: {last_line(error.output)}") from error
        if not wanted:
            return
        lines = [f"batuta @ {sdk.path.as_uri()}" if each.name == "batuta" else each.line for each in wanted]
        listing = path / "batuta-requirements.txt"
        listing.write_text("\n".join(lines) + "\n", encoding="utf-8")
        argv = [program, "pip", "install", "--python", str(path), "-r", str(listing)]
        try:
            await tools.run(argv, cwd=self._root, limit=_BUILD_LIMIT, env=env)
        except ToolFailed as error:
            raise _explain(error.output, wanted) from error


async def say_sdk_difference(wanted: Sequence[Requirement], sdk: SdkWheel, tools: Tools) -> None:
    """Tell the console when a task asks for another release of our SDK than the one it gets."""
    for each in wanted:
        if each.name == "batuta" and each.line.replace(" ", "") not in ("batuta", f"batuta=={sdk.version}"):
            tools.say(f"{each.line} was asked for; this agent offers batuta {sdk.version}")


def _age(mark: Path) -> float:
    try:
        return mark.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _key(python: Interpreter, wanted: Sequence[Requirement], sdk: SdkWheel) -> str:
    ours = sdk.digest if any(each.name == "batuta" for each in wanted) else ""
    facts = [python.path, python.version, platform.machine(), sorted(each.line for each in wanted), ours]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]


def _explain(output: str, wanted: Sequence[Requirement]) -> PreparationFailed:
    """One sentence from uv's output: which package, and what is wrong with it."""
    text = re.sub(r"\s+", " ", output)
    named = _blamed(text, wanted)
    if _NOT_FOUND.search(text):
        return PreparationFailed(f"{named} cannot be installed: {_sentence(output)}")
    if _NETWORK.search(text):
        return InfrastructureFailed(f"the package registry cannot be used for {named}: {_sentence(output)}")
    return PreparationFailed(f"{named} cannot be installed: {_sentence(output)}")


def _blamed(text: str, wanted: Sequence[Requirement]) -> str:
    """The requirement that uv speaks of: the one named first after `Because`, `Failed to …` or `error:`."""
    start = re.search(r"Because|Failed to|error:|×", text)
    said = requirements.canonical(text[start.start() :] if start else text)
    places: list[tuple[int, str]] = []
    for each in wanted:
        match = re.search(rf"(?<![a-z0-9-]){re.escape(each.name)}(?![a-z0-9])", said)
        if match is not None:
            places.append((match.start(), each.line))
    return f"package {min(places)[1]}" if places else "a package"


def _sentence(output: str) -> str:
    """The heart of uv's message on one line, without its drawing."""
    start = re.search(r"(╰─▶|Caused by:|×|error:)", output)
    text = output[start.start() :] if start else output
    return re.sub(r"[\s╰─▶│×]+", " ", text).strip()[:600]
