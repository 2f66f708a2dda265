"""Fills an API's database with tasks behind its back: copies of one that it made, each with numbers of its own."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, create_engine, inspect, text

METRICS = 5
_SERIES = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)",
    "postgresql": "WITH n AS (SELECT generate_series(1, CAST(:count AS INTEGER)) AS i)",
}
_ID = {"sqlite": "printf('%032x', n.i)", "postgresql": "lpad(to_hex(n.i), 32, '0')"}
_RANDOM = {"sqlite": "(abs(random()) % 1000000) / 1000000.0", "postgresql": "random()"}
COMPLETED = 50


def tasks(url: str, template_id: str, count: int) -> None:
    """Add `count` completed tasks like the template, each with `METRICS` series `m<k>/test` and their summaries."""
    engine = create_engine(url)
    kind = engine.dialect.name
    made = {"id": _ID[kind], "task_id": _ID[kind], "create_time": "t.create_time + n.i", "state": str(COMPLETED)}
    made["display_name"] = "'task ' || n.i"
    made["revision"] = "t.revision + n.i"
    with engine.begin() as connection:
        key = {"count": count, "template": template_id}
        _copy(connection, "tasks", "id", made, key)
        _copy(connection, "task_definitions", "task_id", {"task_id": _ID[kind]}, key)
        for number in range(METRICS):
            value = _RANDOM[kind]
            connection.execute(
                text(
                    "INSERT INTO scalar_series (task_id, metric, variant, series, count, last_value, last_iteration, "
                    "min_value, min_iteration, max_value, max_iteration) "
                    f"{_SERIES[kind]} SELECT {_ID[kind]}, 'm{number}', 'test', {number + 1}, 1, {value}, 1, "
                    f"{value}, 1, {value}, 1 FROM n"
                ),
                {"count": count},
            )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    engine.dispose()


def _copy(connection: Connection, table: str, by: str, made: Mapping[str, str], key: Mapping[str, object]) -> None:
    kind = connection.dialect.name
    names = [str(column["name"]) for column in inspect(connection).get_columns(table)]
    quoted = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(made.get(name, f't."{name}"') for name in names)
    select = f"SELECT {values} FROM n CROSS JOIN {table} AS t WHERE t.{by} = :template"
    connection.execute(text(f"INSERT INTO {table} ({quoted}) {_SERIES[kind]} {select}"), key)
