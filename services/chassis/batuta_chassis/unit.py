"""The unit of work: what one use case does besides its rows, and only if they are committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import Connection

if TYPE_CHECKING:
    from batuta_chassis.database import Database

_KEY = "batuta_unit"


class Unit:
    """Belongs to one run of one use case. It is thrown away, with all it holds, when the use case fails."""

    __slots__ = ("_hooks", "database")

    def __init__(self, database: Database) -> None:
        self.database = database
        self._hooks: list[Callable[[], object]] = []

    def after_commit(self, hook: Callable[[], object]) -> None:
        """Run `hook` on the event loop of the caller once the transaction is durable, before the caller goes on.

        Hooks run in the order of the commits. They must not block and not raise; one that raises is logged.
        """
        self._hooks.append(hook)

    @property
    def hooks(self) -> list[Callable[[], object]]:
        """What to run after the commit, in order."""
        return self._hooks


def enter(connection: Connection, unit: Unit | None) -> None:
    """Make `unit` the one that use cases on this connection belong to."""
    if not connection.invalidated:  # one that broke is thrown away, and keeps nothing
        connection.info[_KEY] = unit


def unit_of(connection: Connection) -> Unit:
    """The unit of the use case that runs on `connection`. Raises `RuntimeError` outside of `Database.write`."""
    unit = connection.info.get(_KEY)
    if unit is None:
        raise RuntimeError("a use case that changes something must run in Database.write")
    assert isinstance(unit, Unit)
    return unit


def after_commit(connection: Connection, hook: Callable[[], object]) -> None:
    """Run `hook` once what the running use case wrote is durable; see `Unit.after_commit`."""
    unit_of(connection).after_commit(hook)
