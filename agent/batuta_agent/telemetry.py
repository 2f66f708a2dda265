"""Samples of machine and GPUs, taken in a thread of their own: a driver that hangs must not hold a heartbeat."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from batuta_agent import host
from batuta_agent.gpu import Gpus
from batuta_agent.health import DRIVER, Health, gpu_name
from batuta_proto.agents import v1 as agents
from batuta_proto.types import v1 as types
from batuta_rpc.clock import Clock, within

_HANGS = 30.0
_LOOK_LIMIT = 5.0


class Sampler:
    """Takes one sample at a time; while one is under way, the next is left out."""

    def __init__(self, gpus: Gpus, disk: Path, clock: Clock, health: Health | None = None) -> None:
        """`health` is told which GPUs do not answer."""
        self._gpus = gpus
        self._health = health or Health()
        self._health.look = self.look
        self._sick: frozenset[str] = frozenset()
        self._begun = 0.0
        self._host = host.HostSampler(disk, clock)
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="telemetry")
        self._running: asyncio.Future[agents.TelemetrySample | None] | None = None

    async def list_gpus(self) -> list[types.Gpu]:
        """The GPUs of this machine."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._gpus.devices)

    async def sample(self) -> agents.TelemetrySample | None:
        """Machine and GPUs as they are now; None while an earlier sample has not come back."""
        if self._running is not None and not self._running.done():
            if self._clock.monotonic() - self._begun > _HANGS:
                self._health.set(DRIVER, f"the GPU driver has not answered for {_HANGS:g} s and more")
            return None
        self._begun = self._clock.monotonic()
        self._running = asyncio.get_running_loop().run_in_executor(self._thread, self._take)
        sample = await asyncio.shield(self._running)
        self._tell()
        return sample

    async def look(self) -> None:
        """Look at the GPUs now, for at most 5 s, and tell `health` what is wrong with them."""
        looking = asyncio.get_running_loop().run_in_executor(self._thread, self._gpus.check)
        with contextlib.suppress(asyncio.TimeoutError):
            await within(self._clock, _LOOK_LIMIT, asyncio.shield(looking))
        self._tell()

    def _tell(self) -> None:
        self._health.set(DRIVER, "")
        found = dict(self._gpus.troubles)
        for uuid in self._sick - found.keys():
            self._health.set(gpu_name(uuid), "")
        for uuid, text in found.items():
            self._health.set(gpu_name(uuid), text)
        self._sick = frozenset(found)

    def close(self) -> None:
        """Let go of the driver. A call that hangs in it is left behind."""
        self._thread.submit(self._gpus.close)
        self._thread.shutdown(wait=False, cancel_futures=False)

    def _take(self) -> agents.TelemetrySample | None:
        self._gpus.check()
        try:
            sample = self._host.sample()
        except (OSError, psutil.Error):
            return None  # a disk unmounted under us: the next sample may do
        return agents.TelemetrySample(time_unix_millis=self._clock.unix_millis(), host=sample, gpus=self._gpus.sample())
