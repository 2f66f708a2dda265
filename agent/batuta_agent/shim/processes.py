"""Processes as the kernel shows them: who is whose child, since when, in which boot.

Linux tells by `/proc`. Elsewhere trees are known by process group only, and start times are 0.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import NamedTuple

_PROC = "/proc"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class Process(NamedTuple):
    """One process."""

    pid: int
    parent: int
    group: int
    start: int
    """Clock ticks since boot at which it began."""
    gone: bool
    """True: it has ended and only waits for its parent to notice."""


def boot_id() -> str:
    """The kernel's id of this boot; a fixed word where the system has none."""
    try:
        with open(f"{_PROC}/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return "unknown-boot"


def look(pid: int) -> Process | None:
    """The process with this pid; None when there is none or the system does not tell."""
    try:
        with open(f"{_PROC}/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    # The name stands in brackets and may hold anything, brackets and blanks included.
    fields = text[text.rindex(b")") + 2 :].split()
    return Process(pid, int(fields[1]), int(fields[2]), int(fields[19]), fields[0] in (b"Z", b"X", b"x"))


def start_of(pid: int) -> int:
    """When a process began, in clock ticks since boot; 0 when that cannot be told."""
    found = look(pid)
    return 0 if found is None else found.start


def is_alive(pid: int, start: int) -> bool:
    """Whether the process that began at `start` under this pid still runs. A pid alone may belong to another by now."""
    if pid <= 0:
        return False
    if os.path.isdir(f"{_PROC}/self"):
        found = look(pid)
        return found is not None and not found.gone and found.start == start
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def descendants(root: int) -> list[int]:
    """Pids of all living processes below `root`, itself not included."""
    children: dict[int, list[Process]] = {}
    for name in os.listdir(_PROC) if os.path.isdir(_PROC) else ():
        if name.isdigit():
            found = look(int(name))
            if found is not None:
                children.setdefault(found.parent, []).append(found)
    below: list[int] = []
    ahead = [root]
    while ahead:
        for each in children.get(ahead.pop(), ()):
            ahead.append(each.pid)
            if not each.gone:
                below.append(each.pid)
    return below


def send(pids: list[int], number: int) -> None:
    """Send a signal to each; those that have ended meanwhile are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def adopt_orphans() -> bool:
    """Make this process the parent of every descendant whose parent ends. False where the system cannot."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> bool:
    """Have the kernel kill this process when its parent ends. False where the system cannot."""
    return _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


def _load_prctl() -> object:
    try:
        import ctypes

        return ctypes.CDLL(None, use_errno=True).prctl
    except (ImportError, OSError, AttributeError):
        return None


_function = _load_prctl() if os.path.isdir(f"{_PROC}/self") else None


def _prctl(option: int, value: int) -> bool:
    return callable(_function) and _function(option, value, 0, 0, 0) == 0
