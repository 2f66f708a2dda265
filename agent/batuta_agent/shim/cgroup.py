"""A control group of version 2 around everything that a shim starts, where this machine lets us make one.

With it nothing gets away: the kernel keeps every descendant in it, whatever it does to its session, its parent or its
environment, and `cgroup.kill` ends all of it at once, also when the shim is dead. Without it (no version 2 hierarchy,
no right to make a group) the tree of processes is walked and marks in environments are looked for.

A group's name tells whose it is: the pid of the shim, when that began, and the pid namespace in which both are true.
"""

from __future__ import annotations

import contextlib
import os

from batuta_agent.shim import processes

_PREFIX = "batuta-run"


class Group:
    """One group, by its folder."""

    def __init__(self, path: str) -> None:
        """`path` may be empty or gone: then the group has no processes and every method does nothing."""
        self.path = path

    def add(self, pid: int) -> bool:
        """Take a process in; its children follow by themselves. False when the kernel does not let us."""
        try:
            _write(os.path.join(self.path, "cgroup.procs"), str(pid))
        except OSError:
            return False
        return True

    def pids(self) -> list[int]:
        """Everything that lives in it."""
        found: list[int] = []
        for folder in self._folders():
            with contextlib.suppress(OSError, ValueError), open(os.path.join(folder, "cgroup.procs")) as file:
                found.extend(int(line) for line in file)
        return [pid for pid in found if not _gone(pid)]

    def kill(self) -> bool:
        """SIGKILL for everything in it, also for what forks while we do. False where the kernel is too old (< 5.14)."""
        try:
            _write(os.path.join(self.path, "cgroup.kill"), "1")
        except OSError:
            return False
        return True

    def remove(self) -> bool:
        """Delete it, and the groups that were made below it. False when something lives there still."""
        for folder in reversed(self._folders()):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        return not os.path.isdir(self.path)

    def _folders(self) -> list[str]:
        return [folder for folder, _names, _files in os.walk(self.path)] if self.path else []


def make() -> Group | None:
    """A new empty group for this process; None where none can be made."""
    base = home()
    if not base:
        return None
    group = Group(os.path.join(base, _name(os.getpid())))
    try:
        os.mkdir(group.path, 0o755)
    except OSError:
        return None
    if os.path.exists(os.path.join(group.path, "cgroup.kill")):
        return group
    group.remove()  # a kernel before 5.14, or not a group at all
    return None


def home() -> str:
    """The folder of this process's own group of version 2; empty where there is none."""
    mount = _mounted()
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            ours = next((line.strip()[3:] for line in file if line.startswith("0::")), "")
    except OSError:
        return ""
    folder = os.path.join(mount, ours.lstrip("/")) if mount and ours else ""
    return folder.rstrip("/") if folder and os.path.isdir(folder) else ""


def abandoned() -> list[Group]:
    """Groups beside ours whose shims are dead: whatever is in them must die."""
    base = home()
    try:
        names = os.listdir(base) if base else []
    except OSError:
        return []
    return [Group(os.path.join(base, name)) for name in names if _orphaned(name)]


def _name(pid: int) -> str:
    return f"{_PREFIX}-{_namespace()}-{pid}-{processes.start_of(pid)}"


def _namespace() -> str:
    try:
        return "".join(each for each in os.readlink("/proc/self/ns/pid") if each.isdigit()) or "0"
    except OSError:
        return "0"


def _orphaned(name: str) -> bool:
    if not name.startswith(f"{_PREFIX}-"):
        return False
    try:
        namespace, pid, start = name[len(_PREFIX) + 1 :].split("-")
        return namespace == _namespace() and not processes.is_alive(int(pid), int(start))
    except ValueError:
        return False


def _mounted() -> str:
    try:
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            for line in file:
                before, _dash, after = line.partition(" - ")
                if after.startswith("cgroup2 "):
                    return before.split(" ")[4]
    except OSError:
        return ""
    return ""


def _gone(pid: int) -> bool:
    found = processes.look(pid)
    return found is None or found.gone


def _write(path: str, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)
