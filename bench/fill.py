"""Fills a queue behind the broker's back: rows as a submit leaves them, made by the database itself."""

from __future__ import annotations

from sqlalchemy import create_engine, text

_SERIES = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) ",
    "postgresql": "WITH n AS (SELECT generate_series(1, :count) AS i) ",
}
_ID = {"sqlite": "printf('%032x', i)", "postgresql": "lpad(to_hex(i), 32, '0')"}
_COLUMNS = {
    "id": "{id}",
    "task_id": "'t' || {id}",
    "queue_id": ":queue_id",
    "state": "10",
    "priority": "0",
    "position": "{head} + i",
    "not_before_millis": "0",
    "enqueue_millis": "1",
    "owner": "''",
    "project_id": "''",
    "cpus": "0",
    "memory_bytes": "0",
    "gpus": "0",
    "policy": "1",
    "max_losses": "3",
    "max_failures": "0",
    "failures": "0",
    "preemptions": "0",
    "last_position": "{head} + i",
    "attempt": "0",
    "agent_id": "''",
    "hold_reason": "''",
    "losses": "0",
    "last_lost_agent": "''",
    "payload_media_type": "''",
    "payload": "{payload}",
}


def queue(url: str, queue_id: str, count: int) -> None:
    """Put `count` waiting entries into a queue. Their places are those of the event log, which moves on."""
    engine = create_engine(url)
    kind = engine.dialect.name
    words = {
        "id": _ID[kind],
        "head": "(SELECT head FROM event_log)",
        "payload": "x'" + "ab" * 64 + "'" if kind == "sqlite" else "decode('" + "ab" * 64 + "', 'hex')",
    }
    values = ", ".join(each.format(**words) for each in _COLUMNS.values())
    statement = f"{{}}INSERT INTO entries ({', '.join(_COLUMNS)}) {{}}SELECT {values} FROM n"
    with engine.begin() as connection:
        # SQLite wants the series after INSERT INTO, PostgreSQL before it.
        before, after = ("", _SERIES[kind]) if kind == "sqlite" else (_SERIES[kind], "")
        connection.execute(text(statement.format(before, after)), {"count": count, "queue_id": queue_id})
        connection.execute(text("UPDATE event_log SET head = head + :count"), {"count": count})
    engine.dispose()
