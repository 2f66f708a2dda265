"""One courier per spool: a lock that ends with its process."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: two couriers would only do each other's work twice, and the server stores once
    fcntl = None  # type: ignore[assignment]


class Locked(Exception):
    """Another process holds the lock."""


@contextmanager
def hold(path: Path) -> Generator[None, None, None]:
    """Hold the lock at `path`. Raises Locked at once when somebody else does, OSError when it cannot be made."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if fcntl is not None:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Locked(str(path)) from None
        yield
    finally:
        os.close(fd)
