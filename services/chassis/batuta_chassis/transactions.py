"""How a use case meets its store: in one transaction, whatever keeps the rows.

A store is synchronous and bound to one transaction; the `Transactor` makes it, hands it to the use case, and commits.
`SqlTransactor` is the real one; `batuta_chassis.testing.MemoryTransactor` keeps the same promises in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from sqlalchemy import Connection

from batuta_chassis.database import Database

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)
T = TypeVar("T")


class Transactor(Protocol[S_co]):
    """Runs use cases over a store of type `S_co`."""

    async def write(self, fn: Callable[[S_co], T]) -> T:
        """Run `fn` in a transaction of its own and return its result once it is durable; undone if it raises."""
        ...

    async def read(self, fn: Callable[[S_co], T]) -> T:
        """Run `fn` on one snapshot. It must not change anything."""
        ...


class BulkTransactor(Transactor[S_co], Protocol[S_co]):
    """Runs use cases that store much as well."""

    async def write(self, fn: Callable[[S_co], T], *, bulk: int = 0, late: bool = False) -> T:
        """See `Transactor.write`; `bulk` and `late` are those of `Database.write`."""
        ...


class SqlTransactor(Generic[S]):
    """Use cases over stores on a `Database`."""

    def __init__(self, database: Database, make_store: Callable[[Connection], S]) -> None:
        self._database = database
        self._make_store = make_store

    async def write(self, fn: Callable[[S], T], *, bulk: int = 0, late: bool = False) -> T:
        """Run `fn` in a transaction of its own and return its result once it is durable; undone if it raises."""
        return await self._database.write(lambda connection: fn(self._make_store(connection)), bulk=bulk, late=late)

    async def read(self, fn: Callable[[S], T]) -> T:
        """Run `fn` on one snapshot. It must not change anything."""
        return await self._database.read(lambda connection: fn(self._make_store(connection)))
