"""Logs between contract and model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from google.protobuf.duration_pb2 import Duration

from batuta_api.logs.model import Chunk, StoredChunk, Stream
from batuta_proto.logs import v1 as logs
from batuta_rpc.errors import FieldViolation, ProtocolViolation


@dataclass(frozen=True)
class Reading:
    """What a reader asked for."""

    task_id: str
    attempt: int
    follow: bool
    after_position: int
    tail_bytes: int


def stream_of(first: logs.AppendLogRequest) -> Stream:
    """Whose log a stream of messages writes, by its first one. Raises `ProtocolViolation`."""
    if not (first.task_id and first.attempt and first.producer):
        raise ProtocolViolation("the first message of AppendLog names task_id, attempt and producer")
    return Stream(first.task_id, first.attempt, first.producer)


def chunks_of(stream: Stream, requests: Iterable[logs.AppendLogRequest]) -> list[Chunk]:
    """The chunks of later messages, which may name the stream again but no other. Raises `ProtocolViolation`."""
    chunks: list[Chunk] = []
    for request in requests:
        named = Stream(
            request.task_id or stream.task_id, request.attempt or stream.attempt, request.producer or stream.producer
        )
        if named != stream:
            raise ProtocolViolation("a stream of AppendLog writes one producer's log; open another for the next")
        chunks.append(Chunk(request.offset, request.data, request.time_unix_millis))
    return chunks


def answer(committed: int, flush_interval: float) -> logs.AppendLogResponse:
    """Where the server stands."""
    return logs.AppendLogResponse(
        committed_offset=committed, flush_interval=Duration(nanos=round(flush_interval * 1_000_000_000))
    )


def reading(request: logs.ReadLogRequest) -> Reading:
    """What a reader asks for. Raises `FieldViolation`."""
    if request.after_position and request.tail_bytes:
        raise FieldViolation(
            "give after_position or tail_bytes, not both: one goes on, the other begins",
            field_violations=[("tail_bytes", "is not taken together with after_position")],
        )
    return Reading(request.task_id, request.attempt, request.follow, request.after_position, request.tail_bytes)


def render(chunks: Sequence[StoredChunk], position: int, skip: int, synced: bool) -> logs.ReadLogResponse:
    """A part of a log, less the first `skip` bytes of its first chunk."""
    if skip and chunks:
        first = replace(chunks[0], offset=chunks[0].offset + skip, data=chunks[0].data[skip:])
        chunks = [first, *chunks[1:]]
    shown = [
        logs.LogChunk(
            attempt=chunk.attempt,
            producer=chunk.producer,
            offset=chunk.offset,
            data=chunk.data,
            time_unix_millis=chunk.time_unix_millis,
        )
        for chunk in chunks
    ]
    return logs.ReadLogResponse(chunks=shown, position=position, synced=synced)
