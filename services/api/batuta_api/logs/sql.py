"""Logs in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from batuta_api.logs.model import Chunk, StoredChunk, Stream
from batuta_api.logs.tables import log_chunks, log_streams, log_tasks
from batuta_chassis.prepared import Prepared

_STREAM = select(log_streams.c.committed_offset).where(
    log_streams.c.task_id == bindparam("task"),
    log_streams.c.attempt == bindparam("number"),
    log_streams.c.producer == bindparam("name"),
)
_ATTEMPT_SIZE = Prepared(
    select(func.sum(log_streams.c.committed_offset)).where(
        log_streams.c.task_id == bindparam("task"), log_streams.c.attempt == bindparam("number")
    )
)
_MOVE_STREAM = (
    update(log_streams)
    .where(
        log_streams.c.task_id == bindparam("task"),
        log_streams.c.attempt == bindparam("number"),
        log_streams.c.producer == bindparam("name"),
    )
    .values(committed_offset=bindparam("end"))
)
_TASK = select(log_tasks.c.last_position, log_tasks.c.bytes).where(log_tasks.c.task_id == bindparam("task"))
_MOVE_TASK = (
    update(log_tasks)
    .where(log_tasks.c.task_id == bindparam("task"))
    .values(last_position=bindparam("last"), bytes=bindparam("total"))
)
_PAGE = 256
"""Chunks fetched at once."""


class SqlLogStore:
    """`LogStore` over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def committed(self, stream: Stream) -> int:
        """How many bytes of one producer's log are stored."""
        return self._committed(stream) or 0

    def _committed(self, stream: Stream) -> int | None:
        wanted = {"task": stream.task_id, "number": stream.attempt, "name": stream.producer}
        end: int | None = self._connection.execute(_STREAM, wanted).scalar_one_or_none()
        return end

    def attempt_size(self, task_id: str, attempt: int) -> int:
        """How many bytes of the logs of one attempt are stored."""
        row = _ATTEMPT_SIZE.row(self._connection, {"task": task_id, "number": attempt})
        return 0 if row is None else int(row[0] or 0)

    def append(self, stream: Stream, chunks: Sequence[Chunk]) -> None:
        """Keep chunks that follow each other and what is stored."""
        if not chunks:
            return
        head = self._connection.execute(_TASK, {"task": stream.task_id}).one_or_none()
        last, total = (0, 0) if head is None else (head.last_position, head.bytes)
        rows = [
            {
                "task_id": stream.task_id,
                "position": last + place,
                "attempt": stream.attempt,
                "producer": stream.producer,
                "offset": chunk.offset,
                "length": len(chunk.data),
                "time_unix_millis": chunk.time_unix_millis,
                "data": chunk.data,
            }
            for place, chunk in enumerate(chunks, 1)
        ]
        self._connection.execute(insert(log_chunks), rows)
        self._move_task(stream.task_id, head is None, last + len(rows), total + sum(len(c.data) for c in chunks))
        self._move_stream(stream, chunks[-1].end)

    def _move_task(self, task_id: str, first: bool, last: int, total: int) -> None:
        if first:
            row = {"task_id": task_id, "last_position": last, "bytes": total}
            self._connection.execute(insert(log_tasks), row)
        else:
            self._connection.execute(_MOVE_TASK, {"task": task_id, "last": last, "total": total})

    def _move_stream(self, stream: Stream, end: int) -> None:
        if self._committed(stream) is None:
            row = {"task_id": stream.task_id, "attempt": stream.attempt, "producer": stream.producer}
            self._connection.execute(insert(log_streams), {**row, "committed_offset": end})
        else:
            key = {"task": stream.task_id, "number": stream.attempt, "name": stream.producer}
            self._connection.execute(_MOVE_STREAM, {**key, "end": end})

    def read(self, task_id: str, attempt: int, after: int, limit_bytes: int) -> list[StoredChunk]:
        """The next chunks after a position."""
        chunks: list[StoredChunk] = []
        columns = [log_chunks.c[name] for name in StoredChunk.__dataclass_fields__]
        query = (
            select(*columns)
            .where(log_chunks.c.task_id == task_id, log_chunks.c.position > after)
            .order_by(log_chunks.c.position)
            .limit(_PAGE)
        )
        if attempt:
            query = query.where(log_chunks.c.attempt == attempt)
        rows = self._connection.execute(query)
        size = 0
        for row in rows:
            chunks.append(StoredChunk(*row))
            size += len(row.data)
            if size >= limit_bytes:
                break
        rows.close()
        return chunks

    def tail_position(self, task_id: str, attempt: int, tail_bytes: int) -> tuple[int, int]:
        """Where the last `tail_bytes` bytes begin."""
        query = (
            select(log_chunks.c.position, log_chunks.c.length)
            .where(log_chunks.c.task_id == task_id)
            .order_by(log_chunks.c.position.desc())
        )
        if attempt:
            query = query.where(log_chunks.c.attempt == attempt)
        rows = self._connection.execute(query)
        missing = tail_bytes
        for position, length in rows:
            if length >= missing:
                rows.close()
                return position - 1, length - missing
            missing -= length
        return 0, 0

    def drop(self, task_id: str, *, for_good: bool = False) -> None:
        """Delete a task's logs; its place too when the task itself goes."""
        for table in (log_chunks, log_streams):
            self._connection.execute(delete(table).where(table.c.task_id == task_id))
        mine = log_tasks.c.task_id == task_id
        self._connection.execute(
            delete(log_tasks).where(mine) if for_good else update(log_tasks).where(mine).values(bytes=0)
        )
