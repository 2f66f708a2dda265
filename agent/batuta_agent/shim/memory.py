"""Whether the kernel killed for want of memory, as far as it tells.

Both versions of control groups count such kills per group; the machine counts all of them. A count that grew while the
run lived, and a SIGKILL that nobody here sent, are an out-of-memory kill: surely so by the run's own group, probably so
by the machine's counter.
"""

from __future__ import annotations

import os
from typing import NamedTuple

OURS = "group"
MACHINE = "machine"
_UNLIMITED = 1 << 60


class Kill(NamedTuple):
    """The kernel has killed for want of memory."""

    where: str
    """`group`: in the run's memory group; `machine`: somewhere on this machine."""
    limit: int = 0
    """Bytes that the group may use; 0 is no limit, or none that is known."""
    peak: int = 0
    """Bytes that the group used at most; 0 is not known."""


class Watch:
    """The counters, from the start of a run."""

    def __init__(self, pid: int) -> None:
        """Look now at the group that this process is in; ask at the end."""
        self._folder, self._version = _group(pid)
        self._before = self._kills()
        self._machine_before = _count("/proc/vmstat")

    def kill(self) -> Kill | None:
        """The kill that has happened since; None when there was none."""
        if self._kills() > self._before:
            limit = "memory.max" if self._version == 2 else "memory.limit_in_bytes"
            peak = "memory.peak" if self._version == 2 else "memory.max_usage_in_bytes"
            return Kill(OURS, _number(self._folder, limit), _number(self._folder, peak))
        return Kill(MACHINE) if _count("/proc/vmstat") > self._machine_before else None

    def _kills(self) -> int:
        if not self._folder:
            return 0
        return _count(os.path.join(self._folder, "memory.events" if self._version == 2 else "memory.oom_control"))


def _group(pid: int) -> tuple[str, int]:
    """The folder of a process's memory group, and the version of its hierarchy; empty where there is none."""
    mounts = _mounts()
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            lines = [line.strip().split(":", 2) for line in file]
    except OSError:
        return "", 0
    for number, controllers, path in lines:
        version = 2 if number == "0" else 1
        if version == 2 or "memory" in controllers.split(","):
            folder = os.path.join(mounts.get(version, ""), path.lstrip("/"))
            counter = "memory.events" if version == 2 else "memory.oom_control"
            if mounts.get(version) and os.path.exists(os.path.join(folder, counter)):
                return folder, version
    return "", 0


def _mounts() -> dict[int, str]:
    """Where the hierarchies that count memory are mounted, by version."""
    found: dict[int, str] = {}
    try:
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            for line in file:
                before, _dash, after = line.partition(" - ")
                kind, _source, *options = after.split()
                if kind == "cgroup2":
                    found.setdefault(2, before.split(" ")[4])
                elif kind == "cgroup" and "memory" in ",".join(options).split(","):
                    found.setdefault(1, before.split(" ")[4])
    except (OSError, ValueError):
        return found
    return found


def _count(path: str) -> int:
    """The number after `oom_kill` in a file of names and numbers; 0 where there is none."""
    try:
        with open(path, encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)
    except (OSError, ValueError, IndexError):
        return 0


def _number(folder: str, name: str) -> int:
    try:
        with open(os.path.join(folder, name), encoding="ascii") as file:
            found = int(file.read())
    except (OSError, ValueError):  # `max`, or a kernel that does not tell
        return 0
    return found if found < _UNLIMITED else 0
