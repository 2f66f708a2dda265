"""From a task's spec to a command that can be run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from batuta_agent.environment import requirements
from batuta_agent.environment.failure import InfrastructureFailed
from batuta_agent.environment.interpreters import Interpreters
from batuta_agent.environment.sdk_wheel import SdkWheel, make_wheel
from batuta_agent.environment.source import Checkout, Sources
from batuta_agent.environment.tool import Tools
from batuta_agent.environment.venv import Venv, VenvCache, say_sdk_difference
from batuta_agent.folders import AttemptFolder
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.backoff import Backoff
from batuta_rpc.ids import Ids

T = TypeVar("T")

_RETRIES = 2


class Prepared(NamedTuple):
    """What to run. `venv.held` must be released once the shim holds the lock itself."""

    checkout: Checkout
    venv: Venv

    @property
    def argv(self) -> list[str]:
        """The interpreter and its arguments."""
        return [self.venv.python, *self.checkout.arguments]


class Preparer:
    """Makes environments for the attempts of one agent."""

    def __init__(self, sources: Sources, venvs: VenvCache, interpreters: Interpreters, wheels: Path, ids: Ids) -> None:
        self._sources = sources
        self._venvs = venvs
        self._interpreters = interpreters
        self._wheels = wheels
        self._ids = ids
        self._wheel: asyncio.Future[SdkWheel] | None = None

    async def prepare(self, spec: tasks.TaskSpec, folder: AttemptFolder, tools: Tools) -> Prepared:
        """Get the code into the attempt's folder and the environment ready.

        What infrastructure is to blame for is tried three times. Raises `PreparationFailed`. Can be cancelled.
        """
        wanted = requirements.parse(spec.environment.requirements)
        checkout = await self._retry(lambda: self._sources.get(spec.source, folder.work, tools), tools)
        python = await self._interpreters.find(spec.environment.python_version, tools)
        sdk = await self.wheel()
        await say_sdk_difference(wanted, sdk, tools)
        venv = await self._retry(lambda: self._venvs.get(python, wanted, sdk, tools), tools)
        return Prepared(checkout, venv)

    async def wheel(self) -> SdkWheel:
        """Our SDK as a wheel, made once per agent process."""
        if self._wheel is None or (self._wheel.done() and self._wheel.exception() is not None):
            self._wheel = asyncio.ensure_future(asyncio.to_thread(make_wheel, self._wheels))
        return await asyncio.shield(self._wheel)

    async def _retry(self, attempt: Callable[[], Awaitable[T]], tools: Tools, backoff: Backoff | None = None) -> T:
        waits = backoff or Backoff(self._ids, first=1.0, cap=8.0)
        try:
            return await attempt()
        except InfrastructureFailed as error:
            if waits.tries >= _RETRIES:
                raise
            wait = waits.next()
            tools.say(f"{error}; trying again in {wait:.1f} s")
        await tools.clock.sleep(wait)
        return await self._retry(attempt, tools, waits)
