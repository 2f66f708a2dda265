"""Locks on files, between the agents of one machine."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from batuta_agent.environment.failure import InfrastructureFailed
from batuta_rpc.clock import Clock

_LOOK = 0.1


class FileLock:
    """A lock that is held until `release`, or until the process ends."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def release(self) -> None:
        """Give it back; a second time does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def share(self) -> None:
        """Turn an exclusive lock into a shared one."""
        fcntl.flock(self._handle, fcntl.LOCK_SH)


def try_lock(path: Path, *, shared: bool = False) -> FileLock | None:
    """The lock on `path` (made if missing), or None when somebody else has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return FileLock(handle)


async def lock(path: Path, clock: Clock, limit: float, *, shared: bool = False) -> FileLock:
    """Wait for the lock, at most `limit` seconds. Raises `InfrastructureFailed` after that."""
    end = clock.monotonic() + limit
    while True:
        found = try_lock(path, shared=shared)
        if found is not None:
            return found
        if clock.monotonic() >= end:
            raise InfrastructureFailed(f"{path} has been locked by another agent for {limit:g} s")
        await clock.sleep(_LOOK)
