"""The script's process, seen from outside: is it there, and is it still the same one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 where the system does not tell (not Linux) or it is gone."""
    return _stat(pid)[1]


def alive(pid: int, started: int) -> bool:
    """Whether that process still runs: the pid exists, is no zombie, and was not given to another process since."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False  # ours was the user's own: this is somebody else's
    state, ticks = _stat(pid)
    return state not in ("Z", "X") and (started == 0 or ticks in (0, started))


def signal_if_alive(pid: int, started: int, number: int) -> None:
    """Send a signal to that process and to no other."""
    if alive(pid, started):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _stat(pid: int) -> tuple[str, int]:
    """(state letter, start time); ("", 0) when not known."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return "", 0
    # The second field is the name in parentheses and may hold spaces and parentheses itself.
    fields = text.rpartition(")")[2].split()
    return (fields[0], int(fields[19])) if len(fields) > 19 else ("", 0)
