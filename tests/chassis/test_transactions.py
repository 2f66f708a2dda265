"""A use case meets its store in one transaction, on SQLite and in memory alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import inspect

from batuta_chassis.database import Database
from batuta_chassis.migrations import migrate
from batuta_chassis.testing import MemoryTransactor
from batuta_chassis.transactions import SqlTransactor, Transactor

if TYPE_CHECKING:
    from tests.chassis.conftest import Notes


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


class MemoryNotes:
    """The same store in a list."""

    def __init__(self) -> None:
        self._notes: list[str] = []

    def add(self, text: str) -> None:
        self._notes.append(text)

    def all(self) -> list[str]:
        return list(self._notes)


@pytest.fixture(params=["memory", "sqlite"])
def transactor(request: pytest.FixtureRequest, database: Database, notes: type[Notes]) -> Transactor[Any]:
    return MemoryTransactor(MemoryNotes) if request.param == "memory" else SqlTransactor(database, notes)


async def test_what_a_use_case_wrote_is_there_afterwards(transactor: Transactor[Any]) -> None:
    await transactor.write(lambda store: store.add("a"))
    assert await transactor.read(lambda store: store.all()) == ["a"]


async def test_a_use_case_that_raises_leaves_nothing_behind(transactor: Transactor[Any]) -> None:
    def use_case(store: Any) -> None:
        store.add("a")
        raise LookupError

    with pytest.raises(LookupError):
        await transactor.write(use_case)
    assert await transactor.read(lambda store: store.all()) == []


async def test_a_schema_history_is_applied_once_and_whole(
    open_database: Callable[..., Database], tmp_path: Path
) -> None:
    history = tmp_path / "migrations"
    (history / "versions").mkdir(parents=True)
    (history / "script.py.mako").write_text("")
    (history / "env.py").write_text(
        "from sqlalchemy import MetaData\nfrom batuta_chassis.migrations import run_env\nrun_env(MetaData())\n"
    )
    (history / "versions" / "0001.py").write_text(
        "revision = '0001'\ndown_revision = None\n"
        "def upgrade():\n    from alembic import op\n    op.execute('CREATE TABLE first (id INTEGER)')\n"
    )
    broken = history / "versions" / "0002.py"
    broken.write_text(
        "revision = '0002'\ndown_revision = '0001'\n"
        "def upgrade():\n    from alembic import op\n    op.execute('CREATE TABLE second (id INTEGER)')\n"
        "    raise LookupError\n"
    )
    database = open_database()
    with pytest.raises(LookupError):
        migrate(database.engine, history)
    assert not {"first", "second"} & set(inspect(database.engine).get_table_names())
    broken.write_text(broken.read_text().replace("    raise LookupError\n", ""))
    migrate(database.engine, history)
    migrate(database.engine, history)
    assert {"first", "second"} <= set(inspect(database.engine).get_table_names())
