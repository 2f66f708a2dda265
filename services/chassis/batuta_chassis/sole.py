"""An SQLite file belongs to one process of one service: a lock beside it, which the system frees when the process ends.

Two would each keep leases and sessions of their own, and give away what the other one's agents run.
"""

from __future__ import annotations

import fcntl
import os

from sqlalchemy import make_url

from batuta_chassis.settings import Settings, SettingsError


class SoleProcess:
    """The right to an SQLite file; nothing at all on PostgreSQL, which several processes share."""

    def __init__(self, settings: Settings) -> None:
        """Take it. Raises `SettingsError` when another process has it."""
        self._lock: int | None = None
        if settings.several:
            return
        path = f"{make_url(settings.database_url).database}.lock"
        self._lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(self._lock, 32).decode(errors="replace").strip() or "unknown"
            self.close()
            raise SettingsError(
                f"{path.removesuffix('.lock')} is in use by another {settings.service} service (process {owner}). An "
                "SQLite file has one: stop that one, give this one another folder with --data-dir, or let both use "
                "PostgreSQL with --database-url"
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    async def release(self) -> None:
        """Give it up, as the last step of a service."""
        self.close()

    def close(self) -> None:
        """The same."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
