"""What a deployment has written down, read after the fact: tables of both services, and the ledger of the payloads."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Event:
    """One line of the queue's event log."""

    position: int
    entry_id: str
    task_id: str
    state: int
    attempt: int
    phase: int
    agent_id: str


@dataclass(frozen=True)
class Entry:
    """One entry as it stands in the end."""

    id: str
    task_id: str
    state: int
    losses: int
    max_losses: int


@dataclass(frozen=True)
class Chunk:
    """One stored piece of a log."""

    task_id: str
    attempt: int
    producer: str
    offset: int
    data: bytes


@dataclass
class History:
    """All of it. Made by hand in the checker's own tests."""

    events: list[Event] = field(default_factory=list[Event])
    entries: list[Entry] = field(default_factory=list[Entry])
    tasks: dict[str, int] = field(default_factory=dict[str, int])
    """State of each task at the API, by id."""
    chunks: list[Chunk] = field(default_factory=list[Chunk])
    committed: dict[tuple[str, int, str], int] = field(default_factory=dict[tuple[str, int, str], int])
    """By (task, attempt, producer): how much of a log the API has acknowledged."""
    places: dict[str, int] = field(default_factory=dict[str, int])
    """How many assignments each agent takes at once."""
    runs: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """By task: one line for each start of its payload; ` overlap` where another one was running."""


_EVENTS = "SELECT position, entry_id, task_id, entry_state, attempt, phase, agent_id FROM events ORDER BY position"
_CHUNKS = 'SELECT task_id, attempt, producer, "offset", data FROM log_chunks ORDER BY task_id, position'
_STREAMS = "SELECT task_id, attempt, producer, committed_offset FROM log_streams"


def read(queue: Path, api: Path, ledger: Path) -> History:
    """The history in two SQLite files and a folder."""
    with closing(sqlite3.connect(f"file:{queue}?mode=ro", uri=True)) as rows:
        events = [Event(*row) for row in rows.execute(_EVENTS)]
        entries = [Entry(*row) for row in rows.execute("SELECT id, task_id, state, losses, max_losses FROM entries")]
        places: dict[str, int] = dict(rows.execute("SELECT id, max_assignments FROM agents").fetchall())
    with closing(sqlite3.connect(f"file:{api}?mode=ro", uri=True)) as rows:
        tasks: dict[str, int] = dict(rows.execute("SELECT id, state FROM tasks").fetchall())
        chunks = [Chunk(*row) for row in rows.execute(_CHUNKS)]
        streams: list[Any] = rows.execute(_STREAMS).fetchall()
    committed = {(task_id, attempt, producer): end for task_id, attempt, producer, end in streams}
    runs = {path.name: path.read_text().splitlines() for path in ledger.iterdir() if "." not in path.name}
    return History(events, entries, tasks, chunks, committed, places, runs)
