"""What a `Database` must know of the system that keeps its rows: its connections, and what its faults mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from batuta_chassis.reserve import Reserve

READERS = 4
"""Connections that read; one more writes."""


@dataclass(frozen=True)
class Backend:
    """One database system, for one database."""

    write_engine: Engine
    """Its transactions exclude each other, also those of other processes: what a use case has read stays true."""
    read_engine: Engine
    """Its transactions see one snapshot and cannot write."""
    is_storage: Callable[[BaseException], bool]
    """Whether the fault is the system's (disk full, server away) and not that of the statement."""
    may_repeat: Callable[[BaseException], bool]
    """Whether nothing was stored and the same transaction may go through when it is run again now."""
    is_full: Callable[[BaseException], bool]
    """Whether there was no room on a disk for which `reserve` keeps some."""
    say: Callable[[Connection, Sequence[str]], None]
    """Run statements without parameters and results; on a server with one round trip."""
    reserve: Reserve | None = None
    patience: float | None = None
    """Seconds after which a caller hears that the system does not answer; None waits, for a file always answers."""
    close_within: float | None = None
    """Seconds that the end waits for what is under way, before `cut`."""
    cut: Callable[[], None] = lambda: None
    """End all connections as if the system had, also those that threads wait on; there are no new ones after that."""

    def dispose(self) -> None:
        """Close all connections."""
        self.read_engine.dispose()
        self.write_engine.dispose()
