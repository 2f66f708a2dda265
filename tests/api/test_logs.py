"""Logs over the wire: offsets, gaps, tails, followers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta_api.__main__ import build
from batuta_api.limits import Limits
from batuta_api.logs import appending, quota
from batuta_api.logs.appending import Stored
from batuta_api.logs.model import Chunk, Gap, Stream, fit
from batuta_api.tasks.model import Definition, TaskState
from batuta_api.tasks.testing import NOON, a_task
from batuta_api.testing import memory_work
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_chassis.testing import running
from batuta_proto.logs import v1 as logs
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_rpc.errors import (
    FieldViolation,
    LogGap,
    LogQuota,
    OtherTask,
    ProtocolViolation,
    RateLimited,
    ShuttingDown,
    StaleAttempt,
    TaskNotFound,
)


class Line:
    """An AppendLog stream that a test feeds message by message."""

    def __init__(self, stubs: Any) -> None:
        self._queue: asyncio.Queue[logs.AppendLogRequest | None] = asyncio.Queue()
        self.call = stubs.logs.AppendLog(self._messages())

    async def _messages(self) -> AsyncIterator[logs.AppendLogRequest]:
        while (message := await self._queue.get()) is not None:
            yield message

    def send(self, **fields: Any) -> None:
        """Send one message."""
        self._queue.put_nowait(logs.AppendLogRequest(**fields))

    def end(self) -> None:
        """No more."""
        self._queue.put_nowait(None)


async def text_of(stubs: Any, task_id: str, **fields: Any) -> str:
    """What a reader sees of a log."""
    answers = await collected(stubs.logs.ReadLog(logs.ReadLogRequest(task_id=task_id, **fields)))
    return b"".join(chunk.data for answer in answers for chunk in answer.chunks).decode()


async def collected(stream: Any) -> list[Any]:
    """All answers of a stream."""
    return [answer async for answer in stream]


async def test_what_is_written_is_read_in_the_order_of_arrival(member: Any) -> None:
    task = await member.started()
    await member.write_log(task.id, 1, b"one ")
    await member.write_log(task.id, 1, b"two ", producer="p.text")
    await member.write_log(task.id, 1, b"three", offset=4)
    answers = await collected(member.logs.ReadLog(logs.ReadLogRequest(task_id=task.id)))
    shown = [(chunk.producer, chunk.offset, chunk.data) for answer in answers for chunk in answer.chunks]
    assert shown == [("console", 0, b"one "), ("p.text", 0, b"two "), ("console", 4, b"three")]
    assert [answer.synced for answer in answers] == [False, True]
    resumed = await collected(member.logs.ReadLog(logs.ReadLogRequest(task_id=task.id, after_position=2)))
    assert resumed[0].chunks[0].data == b"three"


async def test_bytes_that_are_stored_already_are_passed_over(member: Any) -> None:
    task = await member.started()
    assert await member.write_log(task.id, 1, b"abcdef") == 6
    assert await member.write_log(task.id, 1, b"def", offset=3) == 6
    assert await member.write_log(task.id, 1, b"efgh", offset=4) == 8
    assert await text_of(member, task.id) == "abcdefgh"


async def test_a_gap_is_refused_with_the_offset_to_go_on_from(member: Any) -> None:
    task = await member.started()
    await member.write_log(task.id, 1, b"abc")
    with pytest.raises(LogGap) as gap:
        await member.write_log(task.id, 1, b"xyz", offset=9)
    assert gap.value.metadata["committed_offset"] == "3"


async def test_an_empty_chunk_asks_where_the_server_stands(member: Any) -> None:
    task = await member.started()
    assert await member.write_log(task.id, 1, b"") == 0
    await member.write_log(task.id, 1, b"abc")
    assert await member.write_log(task.id, 1, b"", offset=99) == 3


async def test_a_stream_names_its_producer_first_and_keeps_to_it(member: Any) -> None:
    task = await member.started()
    line = Line(member)
    line.send(data=b"x")
    with pytest.raises(ProtocolViolation, match="first message"):
        await line.call.read()
    other = Line(member)
    other.send(task_id=task.id, attempt=1, producer="console", data=b"x")
    assert (await other.call.read()).committed_offset == 1
    other.send(producer="text", data=b"y")
    with pytest.raises(ProtocolViolation, match="one producer"):
        await other.call.read()


async def test_writers_are_told_to_hurry_while_somebody_follows(member: Any) -> None:
    task = await member.started()
    line = Line(member)
    line.send(task_id=task.id, attempt=1, producer="console", data=b"a")
    assert (await line.call.read()).flush_interval.nanos == 500_000_000
    reader = member.logs.ReadLog(logs.ReadLogRequest(task_id=task.id, follow=True))
    assert (await reader.read()).chunks[0].data == b"a"
    line.send(offset=1, data=b"b")
    assert (await line.call.read()).flush_interval.nanos == 20_000_000
    assert (await reader.read()).synced
    assert (await reader.read()).chunks[0].data == b"b"
    reader.cancel()
    line.end()


async def test_a_follower_sees_the_end_once_the_declared_tail_is_in(api: Any, member: Any) -> None:
    task = await member.started()
    await member.write_log(task.id, 1, b"begin ")
    following = asyncio.create_task(text_of(member, task.id, follow=True))
    tail = types.ProducerTail(producer="console", kind=types.TAIL_KIND_LOG, end=9)
    await member.tasks.FinishTask(
        tasks.FinishTaskRequest(task_id=task.id, attempt=1, state=tasks.TASK_STATE_COMPLETED, tails=[tail])
    )
    assert not following.done()
    await member.write_log(task.id, 1, b"end", offset=6)
    assert await api.soon(following) == "begin end"
    with pytest.raises(StaleAttempt):
        await member.write_log(task.id, 1, b"!", offset=9)
    assert [row.reason for row in await api.audit(task.id)] == ["STALE_ATTEMPT"]
    assert await text_of(member, task.id, follow=True) == "begin end"


async def test_a_run_that_lost_its_place_may_not_write_and_is_written_down(api: Any, member: Any) -> None:
    task = await member.started()
    await member.tasks.EnqueueTask(tasks.EnqueueTaskRequest(task_id=task.id, queue_name="default", local_attempt=1))
    with pytest.raises(StaleAttempt, match="is over"):
        await member.write_log(task.id, 1, b"x")
    with pytest.raises(StaleAttempt):
        await member.write_log(task.id, 2, b"x")
    assert len(await api.audit(task.id)) == 2


async def test_an_attempt_writes_before_its_event_by_its_token_and_closes_the_one_before(api: Any, member: Any) -> None:
    task, _ = await member.queued()
    first, second = api.run_of(task.id, 1), api.run_of(task.id, 2)
    assert await first.write_log(task.id, 1, b"first") == 5
    assert await second.write_log(task.id, 2, b"second") == 6
    with pytest.raises(StaleAttempt):
        await first.write_log(task.id, 1, b"!", offset=5)
    with pytest.raises(StaleAttempt, match="belongs to attempt 1"):
        await first.write_log(task.id, 2, b"!")
    assert (await member.get(task.id)).status.attempt == 2
    assert await text_of(member, task.id, attempt=1) == "first"
    other = await member.started()
    with pytest.raises(OtherTask):
        await first.write_log(other.id, 1, b"x")


async def test_the_end_of_a_log_can_be_read_alone(member: Any) -> None:
    task = await member.started()
    await member.write_log(task.id, 1, b"0123456789")
    await member.write_log(task.id, 1, b"abc", offset=10)
    assert await text_of(member, task.id, tail_bytes=5) == "89abc"
    assert await text_of(member, task.id, tail_bytes=99) == "0123456789abc"
    with pytest.raises(FieldViolation, match="not both"):
        await text_of(member, task.id, tail_bytes=5, after_position=1)
    with pytest.raises(TaskNotFound):
        await text_of(member, "t9")


async def test_a_reset_without_results_takes_the_log_away(member: Any) -> None:
    task = await member.started()
    await member.write_log(task.id, 1, b"gone")
    await member.tasks.ResetTask(tasks.ResetTaskRequest(task_id=task.id, local_attempt=1))
    assert await text_of(member, task.id) == ""
    with pytest.raises(StaleAttempt):
        await member.write_log(task.id, 1, b"late", offset=4)


async def test_a_flood_of_small_messages_is_stored_whole(member: Any) -> None:
    task = await member.started()
    lines = [f"line {number}\n".encode() for number in range(3000)]
    line = Line(member)
    line.send(task_id=task.id, attempt=1, producer="console")
    offset = 0
    for text in lines:
        line.send(offset=offset, data=text)
        offset += len(text)
    line.end()
    answers = await collected(line.call)
    assert answers[-1].committed_offset == offset
    assert len(answers) < len(lines)  # many messages, few commits
    assert await text_of(member, task.id) == b"".join(lines).decode()


async def test_streams_end_at_once_when_the_process_goes_down(api: Any, member: Any) -> None:
    task = await member.started()
    line = Line(member)
    line.send(task_id=task.id, attempt=1, producer="console", data=b"a")
    await line.call.read()
    reader = member.logs.ReadLog(logs.ReadLogRequest(task_id=task.id, follow=True))
    watcher = member.tasks.WatchTask(tasks.WatchTaskRequest(task_id=task.id))
    await reader.read()
    await reader.read()
    await watcher.read()
    stopping = asyncio.create_task(api.running.process.stop(grace=5))
    for call in (line.call, reader, watcher):
        with pytest.raises(ShuttingDown):
            await api.soon(call.read())
    await api.soon(stopping)


def _running_work(limit: int) -> Work:
    work = replace(memory_work(), limits=Limits(log_bytes_per_attempt=limit))
    work.tasks.add(a_task(state=TaskState.RUNNING, attempt=1, attempt_open=True), Definition())
    return work


def test_the_log_of_an_attempt_is_stored_up_to_its_quota_and_ends_with_a_note() -> None:
    work = _running_work(10)
    console, other, someone = Stream("t1", 1, "console"), Stream("t1", 1, "p7"), Caller("ada", frozenset({"member"}))
    assert appending.append(work, someone, console, [Chunk(0, b"x" * 8)], NOON) == Stored(8)
    chunks = [Chunk(8, b"y"), Chunk(9, b"zzz"), Chunk(12, b"more")]
    assert appending.append(work, someone, console, chunks, NOON) == Stored(10, over_quota=True)
    assert appending.append(work, someone, console, chunks, NOON) == Stored(10, over_quota=True)
    assert appending.append(work, someone, other, [Chunk(0, b"a")], NOON) == Stored(0, over_quota=True)
    assert appending.append(work, someone, console, [Chunk(5, b"xxx")], NOON) == Stored(10)  # it is there already
    stored = work.logs.read("t1", 0, 0, 1 << 20)
    assert b"".join(chunk.data for chunk in stored if chunk.producer != quota.NOTE) == b"xxxxxxxxyz"
    assert [chunk.data.decode() for chunk in stored if chunk.producer == quota.NOTE] == [
        "\n[batuta] The log of attempt 1 has reached its quota of 10 bytes. "
        "What the attempt writes from here on is not stored.\n"
    ]


async def test_a_writer_over_the_quota_is_told_what_is_stored_and_a_follower_sees_the_end(
    queue: Any, tmp_path: Path, make_api: Any
) -> None:
    limits = {"log_bytes_per_attempt": "10"}
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint, limits=limits) as process:
        api = make_api(process)
        member = api.stubs("member")
        task = await member.started()
        with pytest.raises(LogQuota) as refused:
            await member.write_log(task.id, 1, b"0123456789abcdef")
        assert refused.value.metadata["committed_offset"] == "10"
        follower = asyncio.create_task(text_of(member, task.id, follow=True))
        tail = types.ProducerTail(producer="console", kind=types.TAIL_KIND_LOG, end=16)
        await member.tasks.FinishTask(
            tasks.FinishTaskRequest(task_id=task.id, attempt=1, state=tasks.TASK_STATE_COMPLETED, tails=[tail])
        )
        text = await api.soon(follower, 5)  # it does not wait for a tail that will never come
        assert text.startswith("0123456789\n[batuta] The log of attempt 1 has reached its quota")
        again = await member.draft()
        await member.tasks.StartTask(tasks.StartTaskRequest(task_id=again.id))
        assert await member.write_log(again.id, 1, b"0123456789") == 10  # each attempt has its own


async def test_writers_beyond_the_limit_are_refused_by_its_name_until_one_leaves(
    queue: Any, tmp_path: Path, make_api: Any
) -> None:
    async with running(
        build, tmp_path, service="api", queue_endpoint=queue.endpoint, limits={"log_writers": "1"}
    ) as process:
        member = make_api(process).stubs("member")
        task = await member.started()
        line = Line(member)
        line.send(task_id=task.id, attempt=1, producer="console", data=b"a")
        await line.call.read()
        with pytest.raises(RateLimited, match="log_writers") as refused:
            await member.write_log(task.id, 1, b"x", producer="other")
        assert refused.value.retry_delay == 5.0
        line.end()
        assert await line.call.read() is grpc.aio.EOF
        assert await member.write_log(task.id, 1, b"x", producer="other") == 1


async def test_writers_that_come_faster_than_the_disk_wait_and_lose_nothing(
    queue: Any, tmp_path: Path, make_api: Any
) -> None:
    limits = {"log_bytes_in_flight": "1048576"}
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint, limits=limits) as process:
        member = make_api(process).stubs("member")
        task = await member.started()
        lines = [Line(member) for _ in range(8)]
        for number, line in enumerate(lines):
            for offset in range(4):
                line.send(task_id=task.id, attempt=1, producer=f"p{number}", offset=offset << 20, data=b"x" * (1 << 20))
            line.end()
        answers = await asyncio.gather(*(collected(line.call) for line in lines))
        assert [each[-1].committed_offset for each in answers] == [4 << 20] * 8


@given(st.binary(max_size=200), st.data())
def test_a_log_sent_in_random_overlapping_chunks_reads_back_exactly(sent: bytes, data: st.DataObject) -> None:
    committed, stored = 0, b""
    while committed < len(sent):
        start = data.draw(st.integers(0, committed + 3))
        pieces = data.draw(st.lists(st.integers(0, 40), min_size=1, max_size=4))
        chunks: list[Chunk] = []
        for size in pieces:
            chunks.append(Chunk(start, sent[start : start + size]))
            start = min(start + size, len(sent)) - data.draw(st.integers(0, min(size, 2)))
        try:
            committed, new = fit(committed, [chunk for chunk in chunks if chunk.data])
        except Gap:
            assert any(chunk.offset > committed for chunk in chunks)
            continue
        for chunk in new:
            assert chunk.offset == len(stored)
            stored += chunk.data
        if not new:
            committed, (piece,) = fit(committed, [Chunk(committed, sent[committed : committed + 1])])
            stored += piece.data
    assert stored == sent
