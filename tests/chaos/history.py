"""What a deployment has written down, read after the fact: tables of both services, and the ledger of the payloads."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg


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
    length: int


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
_ENTRIES = "SELECT id, task_id, state, losses, max_losses FROM entries"
_CHUNKS = 'SELECT task_id, attempt, producer, "offset", length(data) FROM log_chunks ORDER BY task_id, position'
_STREAMS = "SELECT task_id, attempt, producer, committed_offset FROM log_streams"

Ask = Callable[[str], list[Any]]
"""Answers one query with all its rows; all queries see one moment, for late data may still be on its way."""


@contextmanager
def sqlite_file(path: Path) -> Generator[Ask]:
    """Asks a service's file."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as rows:
        rows.execute("BEGIN")
        yield lambda query: rows.execute(query).fetchall()


@contextmanager
def postgres_schema(url: str, schema: str) -> Generator[Ask]:
    """Asks a service's schema."""
    with psycopg.connect(url, options=f"-csearch_path={schema}") as rows:
        rows.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield lambda query: rows.execute(query.encode()).fetchall()


def read(queue: Ask, api: Ask, ledger: Path) -> History:
    """The history that two services and the payloads have written."""
    return History(
        events=[Event(*row) for row in queue(_EVENTS)],
        entries=[Entry(*row) for row in queue(_ENTRIES)],
        tasks=dict(api("SELECT id, state FROM tasks")),
        chunks=[Chunk(*row) for row in api(_CHUNKS)],
        committed={(task_id, attempt, producer): end for task_id, attempt, producer, end in api(_STREAMS)},
        places=dict(queue("SELECT id, max_assignments FROM agents")),
        runs={path.name: path.read_text().splitlines() for path in ledger.iterdir() if "." not in path.name},
    )
