"""Statements on the driver's own cursor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    delete,
    insert,
    select,
    update,
)

from batuta_chassis.prepared import Prepared

things = Table("things", MetaData(), Column("id", Integer, primary_key=True), Column("name", String))
_ALL = select(things.c.id, things.c.name).order_by(things.c.id)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_statement_runs_once_for_each_set_of_values(count: int) -> None:
    add = Prepared(insert(things), things.columns.keys())
    remove = Prepared(delete(things).where(things.c.id == bindparam("key")))
    with create_engine("sqlite://").begin() as connection:
        things.create(connection)
        add.run_all(connection, [{"name": f"n{each}", "id": each} for each in range(count)])
        assert [tuple(row) for row in connection.execute(_ALL)] == [(each, f"n{each}") for each in range(count)]
        remove.run_all(connection, [{"key": each} for each in range(count)])
        assert connection.execute(_ALL).all() == []


def test_a_statement_tells_how_many_rows_it_touched_and_a_query_its_first_row() -> None:
    rename = Prepared(update(things).where(things.c.id >= bindparam("least")), ["name"])
    first: Callable[..., object] = Prepared(_ALL).row
    with create_engine("sqlite://").begin() as connection:
        things.create(connection)
        assert first(connection, {}) is None
        connection.execute(insert(things), [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])
        assert rename.run(connection, {"least": 1, "name": "c"}) == 2
        assert first(connection, {}) == (1, "c")
