from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import pytest

from batuta_agent.testing import PATIENCE, ScriptedBroker
from batuta_proto.agents import v1 as agents
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.config import Connection, save_connection


@pytest.fixture
async def broker() -> AsyncGenerator[ScriptedBroker]:
    served = ScriptedBroker()
    await served.start()
    yield served
    await served.stop()


class AgentProcess:
    """A real `python -m batuta_agent start` on a state folder that outlives it."""

    def __init__(self, folder: Path, api: str) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.events: list[dict[str, Any]] = []
        self._api = api
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(
        self,
        *arguments: str,
        credentials: bool = True,
        program: tuple[str, ...] = ("-m", "batuta_agent"),
        unnamed: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        named = ("--name", "tester", "--data", str(self.state))
        login = self.folder / "agent.conf"
        save_connection(login, Connection(self._api, "key", "secret"))
        env = {name: value for name, value in os.environ.items() if not name.startswith("BATUTA_")}
        env.update(settings or {}, HOME=str(self.folder))
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, *program, "start", "--json-logs", "--cache", str(self.folder / "cache")),
            *(() if unnamed else named),
            *(("--credentials", str(login)) if credentials else ()),
            *(arguments or ("--queue", "default")),
            env=env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reading = asyncio.ensure_future(self._read(self._process))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            try:
                self.events.append(json.loads(line))
            except ValueError:
                self.events.append({"event": "text", "message": line.decode().strip()})

    @property
    def messages(self) -> str:
        return "\n".join(str(event["message"]) for event in self.events)

    def send_signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def wait(self) -> int:
        assert self._process is not None
        code = await asyncio.wait_for(self._process.wait(), PATIENCE)
        assert self._reading is not None
        await asyncio.wait_for(self._reading, PATIENCE)
        return code

    async def kill(self) -> None:
        """kill -9: what it started goes on."""
        if self._process is not None and self._process.returncode is None:
            self.send_signal(signal.SIGKILL)
            await self.wait()


@pytest.fixture
async def agent(broker: ScriptedBroker, tmp_path: Path) -> AsyncGenerator[AgentProcess]:
    process = AgentProcess(tmp_path, broker.address)
    yield process
    await process.kill()
    end_everything_below(tmp_path)


def end_everything_below(folder: Path) -> None:
    """Kill shims, couriers and runs of a test: those that have its folder in their arguments or environment."""
    ours = {os.getpid(), os.getppid()}
    for pid in {int(name) for name in os.listdir("/proc") if name.isdigit()} - ours:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
            if f"{folder}/".encode() in text:
                os.kill(pid, signal.SIGKILL)


def script_task(code: str, **environment: Any) -> tasks.Task:
    source = tasks.Source(script=code, entry_point="train.py")
    return tasks.Task(id="task", spec=tasks.TaskSpec(source=source, environment=tasks.Environment(**environment)))


def assignment(task_id: str = "task", attempt: int = 1, **fields: Any) -> agents.Assignment:
    ref = agents.AssignmentRef(task_id=task_id, attempt=attempt)
    made = agents.Assignment(ref=ref, attempt_token=f"token-{task_id}-{attempt}", **fields)
    made.accept_within.seconds = 10
    return made
