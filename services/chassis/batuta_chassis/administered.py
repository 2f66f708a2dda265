"""What an operator may do with a service's database from outside: bring its schema up, prove it, clear it out.

Each service says here what its tables must hold and what may go; services never look into each other's tables, so what
two of them must agree on is compared from what each tells of itself (`batuta_chassis.agreement`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, text

from batuta_chassis.settings import SettingsError
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids

GROUP = "batuta.admin"
"""Entry points: the name of a service, and its `Administered`."""

Break = tuple[str, str]
"""What is wrong: with what (an id), and how."""


@dataclass(frozen=True)
class Invariant:
    """Something that always holds in the tables of a service."""

    name: str
    sentence: str
    look: Callable[[Connection], Iterator[Break]]
    """Finds where it does not."""


@dataclass(frozen=True)
class Moment:
    """When something is cleared out, and by which limits of the service."""

    clock: Clock
    now: datetime
    limits: Any

    @property
    def millis(self) -> int:
        """Since 1970."""
        return round(self.now.timestamp() * 1000)


@dataclass(frozen=True)
class Chore:
    """Something that may go in time, or should have gone."""

    name: str
    sentence: str
    count: Callable[[Connection, Moment], int]
    """How many rows (or things) would go now."""
    remove: Callable[[Connection, Moment], int]
    """Remove a bounded part of them, within `Database.write`; how many went. Called until that is none."""


@dataclass(frozen=True)
class Place:
    """A place in an event log: where it begins, and how far it goes, or was read."""

    epoch: str
    first: int
    position: int


@dataclass(frozen=True)
class Known:
    """What a service knows of the entries that tasks have now, by entry id: (task id, attempt)."""

    place: Place | None
    entries: Mapping[str, tuple[str, int]]
    unsure: frozenset[str] = field(default_factory=frozenset[str])
    """Ids of tasks or entries about which something is on its way between the services."""


@dataclass(frozen=True)
class Administered:
    """One service's part."""

    service: str
    metadata: MetaData
    migrations: Path
    invariants: tuple[Invariant, ...]
    chores: tuple[Chore, ...]
    know: Callable[[Connection, int], Known]
    """What it knows; the number is the position of the event log up to which the other one has read it."""
    restored: Callable[[Connection, Ids], None] | None = None
    """Makes rows that came from a backup fit to go on with."""


def invariant(name: str, sentence: str, query: str, detail: str) -> Invariant:
    """One that a query disproves: each of its rows is a break, its first column says with what, and `detail` is
    filled in with all of them."""

    def look(connection: Connection) -> Iterator[Break]:
        for row in connection.execute(text(query)):
            yield str(row[0]), detail.format(*row)

    return Invariant(name, sentence, look)


def rows_gone(name: str, sentence: str, table: str, where: str, values: Callable[[Moment], Mapping[str, Any]]) -> Chore:
    """A chore that deletes the rows of a table for which a condition holds. Those are few, or looked for seldom."""

    def count(connection: Connection, moment: Moment) -> int:
        query = text(f"SELECT count(*) FROM {table} WHERE {where}")
        return int(connection.execute(query, values(moment)).scalar_one())

    def remove(connection: Connection, moment: Moment) -> int:
        return connection.execute(text(f"DELETE FROM {table} WHERE {where}"), values(moment)).rowcount

    return Chore(name, sentence, count, remove)


def installed() -> dict[str, Administered]:
    """Those of this environment, by service. Raises `SettingsError`."""
    try:
        return {point.name: point.load() for point in metadata.entry_points(group=GROUP)}
    except ImportError as error:
        raise SettingsError(f"the services cannot be loaded ({error}): pip install 'batuta[server]'") from error
