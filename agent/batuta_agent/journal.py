"""What the agent must not forget: which assignments it holds, and which reports the broker has not stored yet.

One SQLite file in the agent's state folder. Every method that changes something returns after the change is on disk.
All work happens in one thread of its own, so that a slow disk delays reports and never a heartbeat; reading answers
from memory.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from batuta_agent.model import Held, Phase, Ref
from batuta_proto.agents import v1 as agents
from batuta_rpc.ids import Ids

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS assignments (
    task_id TEXT NOT NULL, attempt INTEGER NOT NULL, assignment BLOB NOT NULL, phase INTEGER NOT NULL,
    accepted INTEGER NOT NULL, settled INTEGER NOT NULL, PRIMARY KEY (task_id, attempt)
);
CREATE TABLE IF NOT EXISTS reports (
    number INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT NOT NULL, attempt INTEGER NOT NULL, report BLOB NOT NULL
);
"""


class Journal:
    """The open journal. One event loop uses it; `close` it at the end."""

    def __init__(self, path: Path, ids: Ids) -> None:
        """Open or make the file, mode 0600. Raises `sqlite3.DatabaseError` when it is not a journal."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._connection = self._thread.submit(_open, path).result()
        self.journal_id = self._thread.submit(_fact, self._connection, "journal_id", ids.request_id()).result()
        self.start_number = self._thread.submit(_count_start, self._connection).result()
        """The how-manieth opening of this file it is."""
        self._held = self._thread.submit(_read_held, self._connection).result()
        self._reports = self._thread.submit(_read_reports, self._connection).result()
        self._changes: set[asyncio.Future[None]] = set()
        self.on_report: Callable[[], None] = lambda: None
        """Called when a report has been kept and can be sent."""

    async def close(self) -> None:
        """Finish what is being written, and close."""
        if self._changes:
            await asyncio.wait(self._changes)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    def held(self) -> list[Held]:
        """All assignments, settled ones included, oldest first."""
        return list(self._held.values())

    def find(self, ref: Ref) -> Held | None:
        """One assignment."""
        return self._held.get(ref)

    def reports(self, after: int = 0) -> list[agents.AssignmentReport]:
        """Reports with a greater number that the broker has not stored, in order."""
        return [report for number, report in self._reports.items() if number > after]

    async def accept(self, assignment: agents.Assignment, report: agents.AssignmentReport) -> None:
        """Keep a new assignment and its ACCEPTED report, in one step."""
        await self._whole(self._accept(assignment, report))

    async def _accept(self, assignment: agents.Assignment, report: agents.AssignmentReport) -> None:
        held = Held(Ref.of(assignment.ref), assignment)

        def write() -> int:
            self._connection.execute(
                "INSERT INTO assignments VALUES (?, ?, ?, ?, 0, 0)",
                (*held.ref, assignment.SerializeToString(), int(held.phase)),
            )
            return _add_report(self._connection, report)

        number = await self._commit(write)
        self._held[held.ref] = held
        self._note(number, report)

    async def report(self, report: agents.AssignmentReport) -> None:
        """Keep a report, and the phase that it tells. Its number is set here."""
        await self._whole(self._report(report))

    async def _report(self, report: agents.AssignmentReport) -> None:
        ref, phase = Ref.of(report.ref), Phase(report.phase)

        def write() -> int:
            self._connection.execute(
                "UPDATE assignments SET phase = ? WHERE task_id = ? AND attempt = ? AND phase < ?",
                (int(phase), *ref, int(phase)),
            )
            return _add_report(self._connection, report)

        number = await self._commit(write)
        held = self._held.get(ref)
        if held is not None:
            self._held[ref] = held.at(phase)
        self._note(number, report)

    def acknowledge(self, number: int) -> list[Held]:
        """The broker has stored every report up to `number`. Returns the assignments that this changed.

        Written later: an agent that forgets an acknowledgement sends the reports again, and gets it again.
        """
        done = [report for each, report in self._reports.items() if each <= number]
        changed: list[Ref] = []
        for report in done:
            del self._reports[report.report_number]
            ref, phase = Ref.of(report.ref), Phase(report.phase)
            held = self._held.get(ref)
            if held is not None:
                self._held[ref] = replace(held, accepted=True, settled=held.settled or phase.terminal)
                changed.append(ref)
        held_now = [self._held[ref] for ref in dict.fromkeys(changed)]
        if done:
            self._later(lambda: _store_acknowledged(self._connection, number, held_now))
        return held_now

    def permit(self, ref: Ref) -> Held | None:
        """The broker expects this attempt of us, so it has stored ACCEPTED, whether or not the acknowledgement came."""
        held = self._held.get(ref)
        if held is not None and not held.accepted:
            held = self._held[ref] = replace(held, accepted=True)
            self._later(lambda: _store_acknowledged(self._connection, 0, [held]))
        return held

    async def forget(self, ref: Ref) -> None:
        """Drop an assignment and its reports: it is over, or no longer ours."""
        await self._whole(self._forget(ref))

    async def _forget(self, ref: Ref) -> None:
        def write() -> None:
            self._connection.execute("DELETE FROM assignments WHERE task_id = ? AND attempt = ?", ref)
            self._connection.execute("DELETE FROM reports WHERE task_id = ? AND attempt = ?", ref)

        await self._commit(write)
        self._held.pop(ref, None)
        self._reports = {number: each for number, each in self._reports.items() if Ref.of(each.ref) != ref}

    def _note(self, number: int, report: agents.AssignmentReport) -> None:
        report.report_number = number
        self._reports[number] = report
        self.on_report()

    async def _whole(self, change: Coroutine[Any, Any, None]) -> None:
        """Make a change on disk and in memory, both or none: also when the caller is cancelled meanwhile."""
        making = asyncio.ensure_future(change)
        self._changes.add(making)
        making.add_done_callback(self._changes.discard)
        await asyncio.shield(making)

    async def _commit(self, write: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, write)

    def _later(self, write: Callable[[], object]) -> None:
        self._thread.submit(self._transaction, write)

    def _transaction(self, write: Callable[[], T]) -> T:
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:  # commits, or rolls back
            return write()


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=10.0)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(_SCHEMA)
    return connection


def _fact(connection: sqlite3.Connection, name: str, default: str) -> str:
    connection.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, default))
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return str(row[0])


def _count_start(connection: sqlite3.Connection) -> int:
    number = int(_fact(connection, "starts", "0")) + 1
    connection.execute("UPDATE facts SET value = ? WHERE name = 'starts'", (str(number),))
    return number


def _add_report(connection: sqlite3.Connection, report: agents.AssignmentReport) -> int:
    cursor = connection.execute(
        "INSERT INTO reports (task_id, attempt, report) VALUES (?, ?, ?)",
        (report.ref.task_id, report.ref.attempt, report.SerializeToString()),
    )
    return int(cursor.lastrowid or 0)


def _store_acknowledged(connection: sqlite3.Connection, number: int, changed: list[Held]) -> None:
    connection.execute("DELETE FROM reports WHERE number <= ?", (number,))
    for held in changed:
        connection.execute(
            "UPDATE assignments SET accepted = ?, settled = ? WHERE task_id = ? AND attempt = ?",
            (held.accepted, held.settled, *held.ref),
        )


def _read_held(connection: sqlite3.Connection) -> dict[Ref, Held]:
    rows = connection.execute("SELECT * FROM assignments ORDER BY rowid").fetchall()
    return {
        Ref(task_id, attempt): Held(
            Ref(task_id, attempt),
            agents.Assignment.FromString(assignment),
            Phase(phase),
            bool(accepted),
            bool(settled),
        )
        for task_id, attempt, assignment, phase, accepted, settled in rows
    }


def _read_reports(connection: sqlite3.Connection) -> dict[int, agents.AssignmentReport]:
    found: dict[int, agents.AssignmentReport] = {}
    for number, data in connection.execute("SELECT number, report FROM reports ORDER BY number"):
        found[number] = agents.AssignmentReport.FromString(data)
        found[number].report_number = number
    return found
