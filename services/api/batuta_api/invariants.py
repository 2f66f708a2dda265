"""What always holds in the API's tables. States and phases are the contract's numbers (`batuta_api.tasks.model`)."""

from __future__ import annotations

import json
from collections.abc import Iterator

from sqlalchemy import Connection, select, text

from batuta_api.tasks.tables import tasks
from batuta_chassis.administered import Break, Invariant, invariant

_OF_TASKS = (
    "task_definitions",
    "task_parameters",
    "task_tags",
    "attempt_tails",
    "task_attempts",
    "scalar_tasks",
    "scalar_producers",
    "scalar_series",
    "scalar_chunks",
    "log_tasks",
    "log_streams",
    "log_chunks",
    "artifacts",
    "artifact_uploads",
)


def _tags(connection: Connection) -> Iterator[Break]:
    """The tags of a task stand in its row, and again in a table that lists filter by."""
    listed: dict[str, set[str]] = {}
    for task_id, tag in connection.execute(text("SELECT task_id, tag FROM task_tags")):
        listed.setdefault(task_id, set()).add(tag)
    for task_id, tags in connection.execute(select(tasks.c.id, tasks.c.tags)):
        own, found = set(json.loads(tags)), listed.get(task_id, set())
        if own != found:
            yield task_id, f"its tags are {sorted(own)}, and lists find it by {sorted(found)}"


INVARIANTS: tuple[Invariant, ...] = (
    invariant(
        "open attempts",
        "a task that has ended, or is a draft, has no open attempt",
        "SELECT id, state, attempt FROM tasks WHERE attempt_open AND (state = 10 OR state >= 50)",
        "state {1}, and attempt {2} is open",
    ),
    invariant(
        "one attempt",
        "the history of a task has one open attempt at most, and it is the newest",
        "SELECT h.task_id, h.number, t.attempt FROM task_attempts h JOIN tasks t ON t.id = h.task_id "
        "WHERE h.phase < 60 AND h.number <> t.attempt",
        "attempt {1} has not ended in the history, and the task is at {2}",
    ),
    invariant(
        "attempt numbers",
        "no attempt in the history has a greater number than its task has come to",
        "SELECT h.task_id, max(h.number), t.attempt FROM task_attempts h JOIN tasks t ON t.id = h.task_id "
        "GROUP BY h.task_id, t.attempt HAVING max(h.number) > t.attempt",
        "the history goes to attempt {1}, the task to {2}",
    ),
    invariant(
        "queued tasks",
        "a task that is queued, or runs on an agent, names its entry",
        "SELECT id, state, attempt FROM tasks WHERE entry_id = '' AND (state = 20 OR (state = 30 AND NOT local))",
        "state {1} in attempt {2} without an entry",
    ),
    invariant(
        "one entry",
        "no entry is that of two tasks",
        "SELECT entry_id, count(*), min(id), max(id) FROM tasks WHERE entry_id <> '' "
        "GROUP BY entry_id HAVING count(*) > 1",
        "{1} tasks have it, {2} and {3} among them",
    ),
    invariant(
        "deletions",
        "a deleted task has a time at which it goes, and no other task has one",
        "SELECT id, delete_time, purge_time FROM tasks WHERE (delete_time IS NULL) <> (purge_time IS NULL)",
        "deleted {1}, to go {2} (microseconds since 1970)",
    ),
    invariant(
        "projects",
        "each task stands in a project that there is, under its name",
        "SELECT t.id, t.project_id, t.project_name, p.display_name FROM tasks t LEFT JOIN projects p "
        "ON p.id = t.project_id WHERE t.delete_time IS NULL AND (p.id IS NULL OR p.display_name <> t.project_name)",
        "project {1} named {2}; the project's own name is {3}",
    ),
    invariant(
        "definitions",
        "each task has its definition",
        "SELECT t.id FROM tasks t WHERE NOT EXISTS (SELECT 1 FROM task_definitions d WHERE d.task_id = t.id)",
        "it has none",
    ),
    Invariant("tags", "lists find a task by the tags that it has", _tags),
    invariant(
        "owners of credentials",
        "each credential of a person is of a user that there is",
        "SELECT c.access_key, c.subject FROM credentials c WHERE c.subject NOT LIKE 'agent:%' AND NOT EXISTS "
        "(SELECT 1 FROM users u WHERE u.name = c.subject)",
        "its user {1} is not there",
    ),
    invariant(
        "log sizes",
        "the size of a task's log is that of its chunks",
        "SELECT t.task_id, t.bytes, coalesce(sum(c.length), 0) FROM log_tasks t "
        "LEFT JOIN log_chunks c ON c.task_id = t.task_id GROUP BY t.task_id, t.bytes "
        "HAVING t.bytes <> coalesce(sum(c.length), 0)",
        "{1} bytes are counted, {2} are there",
    ),
    invariant(
        "log streams",
        "each producer's log has all bytes up to its end, once each",
        "SELECT s.task_id, s.attempt, s.producer, s.committed_offset, coalesce(sum(c.length), 0), "
        'coalesce(max(c."offset" + c.length), 0) FROM log_streams s LEFT JOIN log_chunks c ON c.task_id = s.task_id '
        "AND c.attempt = s.attempt AND c.producer = s.producer "
        "GROUP BY s.task_id, s.attempt, s.producer, s.committed_offset "
        "HAVING s.committed_offset <> coalesce(sum(c.length), 0) "
        'OR s.committed_offset <> coalesce(max(c."offset" + c.length), 0)',
        "attempt {1}, {2}: {3} bytes are acknowledged, {4} are there, the last one at {5}",
    ),
    invariant(
        "log places",
        "no chunk of a log stands beyond the last place of its task",
        "SELECT t.task_id, t.last_position, max(c.position) FROM log_tasks t "
        "JOIN log_chunks c ON c.task_id = t.task_id "
        "GROUP BY t.task_id, t.last_position HAVING max(c.position) > t.last_position",
        "the last place is {1}, and a chunk stands at {2}",
    ),
    invariant(
        "points",
        "a series counts as many points as its chunks hold",
        'SELECT s.task_id, s.metric, s.variant, s."count", coalesce(sum(c."count"), 0) FROM scalar_series s '
        "LEFT JOIN scalar_chunks c ON c.task_id = s.task_id AND c.series = s.series "
        'GROUP BY s.task_id, s.metric, s.variant, s."count" HAVING s."count" <> coalesce(sum(c."count"), 0)',
        "{1}/{2}: {3} points are counted, {4} are there",
    ),
    invariant(
        "scalar places",
        "no chunk of scalars stands beyond the last place of its task, and each belongs to a series",
        "SELECT c.task_id, c.position, c.series, t.last_position FROM scalar_chunks c "
        "LEFT JOIN scalar_tasks t ON t.task_id = c.task_id LEFT JOIN scalar_series s ON s.task_id = c.task_id "
        "AND s.series = c.series WHERE t.task_id IS NULL OR c.position > t.last_position OR s.series IS NULL",
        "chunk {1} of series {2}, last place {3}",
    ),
    *(
        invariant(
            f"{table} of tasks",
            "each row belongs to a task that there is (`batuta admin gc` removes what is left of logs and scalars)",
            f"SELECT DISTINCT x.task_id FROM {table} x WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = x.task_id)",
            "the task is gone",
        )
        for table in _OF_TASKS
    ),
)
