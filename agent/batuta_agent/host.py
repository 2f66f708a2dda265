"""The machine: what it has, and how busy it is."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil

from batuta_proto.agents import v1 as agents
from batuta_proto.types import v1 as types
from batuta_rpc.clock import Clock


def host_name() -> str:
    """This machine's name."""
    return socket.gethostname() or "localhost"


def capacity(gpus: int) -> types.Resources:
    """What this machine has: the cores that this process may use, all memory, so many GPUs."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return types.Resources(cpus=float(cores), memory_bytes=psutil.virtual_memory().total, gpus=gpus)


class HostSampler:
    """Samples of the machine. Rates are taken since the sample before; the first one has none."""

    def __init__(self, disk: Path, clock: Clock) -> None:
        """`disk`: a folder on the disk whose space is told."""
        self._disk = disk
        self._clock = clock
        self._before: tuple[float, int, int] | None = None
        psutil.cpu_percent()  # the first call only sets the mark

    def sample(self) -> agents.HostSample:
        """The machine as it is now."""
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(str(self._disk))
        received, sent = self._rates()
        return agents.HostSample(
            cpu_percent=psutil.cpu_percent(),
            memory_used_bytes=memory.total - memory.available,
            memory_total_bytes=memory.total,
            disk_free_bytes=disk.free,
            disk_total_bytes=disk.total,
            network_received_bytes_per_second=received,
            network_sent_bytes_per_second=sent,
        )

    def _rates(self) -> tuple[int, int]:
        counters = psutil.net_io_counters()
        now = (self._clock.monotonic(), counters.bytes_recv, counters.bytes_sent)
        before, self._before = self._before, now
        if before is None or now[0] <= before[0]:
            return 0, 0
        seconds = now[0] - before[0]
        return _rate(now[1] - before[1], seconds), _rate(now[2] - before[2], seconds)


def _rate(more: int, seconds: float) -> int:
    return max(0, round(more / seconds))  # a counter goes back when an interface is taken away
