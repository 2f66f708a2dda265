"""A database, a deployment key folder, and a small service for the tests of the chassis."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select

from batuta_chassis.database import Database, sqlite_url
from batuta_chassis.members import members_table
from batuta_chassis.outbox import outbox_table
from batuta_chassis.requests import requests_table
from batuta_rpc.clock import SystemClock
from batuta_rpc.testing import FakeClock

METADATA = MetaData()
NOTES = Table("notes", METADATA, Column("id", Integer, primary_key=True), Column("text", String, unique=True))
requests_table(METADATA)
outbox_table(METADATA)
members_table(METADATA)


class Notes:
    """A store of one table."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def add(self, text: str) -> None:
        self._connection.execute(insert(NOTES), {"text": text})

    def all(self) -> list[str]:
        return list(self._connection.execute(select(NOTES.c.text).order_by(NOTES.c.id)).scalars())


@pytest.fixture
def notes() -> type[Notes]:
    """The store."""
    return Notes


@pytest.fixture
def clock() -> FakeClock:
    """A clock that only the test moves."""
    return FakeClock()


@pytest.fixture
def kind() -> str:
    """What keeps the rows; modules whose tests are about every kind say so themselves."""
    return "sqlite"


@pytest.fixture
async def open_database(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncGenerator[Callable[..., Database]]:
    """Opens databases on one file, or one database of a server; all are closed at the end."""
    opened: list[Database] = []
    url = sqlite_url(tmp_path / "test.db") if kind == "sqlite" else request.getfixturevalue("new_database")()

    def make(**settings: Any) -> Database:
        database = Database(url, METADATA, settings.pop("clock", SystemClock()), **settings)
        database.create_all()
        opened.append(database)
        return database

    yield make
    for database in opened:
        await database.close()


@pytest.fixture
async def database(open_database: Callable[..., Database]) -> Database:
    """One database with the tables above."""
    return open_database()
