"""`batuta admin gc`: removes now what housekeeping would remove in time, and what it should have removed long ago."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from batuta_chassis.administered import Chore, Moment
from batuta_chassis.database import Database
from batuta_chassis.limits import installed, read_limits
from batuta_chassis.looking import TIMES, Target
from batuta_chassis.migrating import alone, ensure_current
from batuta_rpc.clock import Clock


@dataclass(frozen=True)
class Cleared:
    """What went of one kind, or would go."""

    service: str
    name: str
    sentence: str
    rows: int


def would_clear(targets: Sequence[Target], clock: Clock) -> list[Cleared]:
    """What would go now. Changes nothing. Raises `SettingsError`."""
    found: list[Cleared] = []
    for target in targets:
        moment = _moment(target, clock)
        with target.reading() as connection:
            ensure_current(connection, target)
            found += [
                Cleared(target.service, each.name, each.sentence, each.count(connection, moment))
                for each in target.part.chores
            ]
    return found


def clear(targets: Sequence[Target], clock: Clock) -> list[Cleared]:
    """Remove it. An SQLite file must be free; on PostgreSQL the services may run. Raises `SettingsError`."""
    return [each for target in targets for each in _clear(target, clock)]


def _clear(target: Target, clock: Clock) -> list[Cleared]:
    with target.reading() as connection:
        ensure_current(connection, target)
    if target.settings.several:
        return asyncio.run(_clear_all(target, clock))
    with alone(target, clock):
        return asyncio.run(_clear_all(target, clock))


async def _clear_all(target: Target, clock: Clock) -> list[Cleared]:
    moment = _moment(target, clock)
    url, schema = target.settings.database_url, target.service
    database = Database(url, target.part.metadata, clock, schema=schema, times=TIMES)
    found: list[Cleared] = []

    def part_of(chore: Chore) -> Callable[[Connection], int]:
        return lambda connection: chore.remove(connection, moment)

    try:
        for chore in target.part.chores:
            total = 0
            # In parts, each a transaction of its own, so that processes which run do not wait behind all of it.
            while gone := await database.write(part_of(chore)):
                total += gone
            found.append(Cleared(target.service, chore.name, chore.sentence, total))
    finally:
        await database.close()
    return found


def _moment(target: Target, clock: Clock) -> Moment:
    kind = installed(target.service)
    limits: Any = None if kind is None else read_limits(kind, target.settings.limits)
    return Moment(clock, clock.now(), limits)
