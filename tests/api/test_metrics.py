"""Scalars over the wire, and how they lie on disk."""

from __future__ import annotations

import asyncio
import math
import random
from typing import Any

import grpc.aio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta_api.metrics.model import Column, Summary, greatest_iteration
from batuta_api.metrics.packing import pack, unpack
from batuta_proto.metrics import v1 as metrics
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_rpc.errors import FieldViolation, OtherTask, StaleAttempt, TaskNotFound


def column(values: list[float], first: int = 1, metric: str = "loss", variant: str = "train") -> metrics.ScalarColumn:
    """A column of consecutive iterations."""
    steps = range(first, first + len(values))
    return metrics.ScalarColumn(
        metric=metric, variant=variant, iterations=steps, time_unix_millis=[1000 + i for i in steps], values=values
    )


def batch(task_id: str, first: int, *columns: metrics.ScalarColumn, attempt: int = 1) -> metrics.AppendScalarsRequest:
    """A batch of producer `p` that begins with a sequence."""
    count = sum(len(each.values) for each in columns)
    return metrics.AppendScalarsRequest(
        task_id=task_id,
        attempt=attempt,
        producer="p",
        first_sequence=first,
        last_sequence=first + max(count, 1) - 1,
        columns=columns,
    )


async def committed(stubs: Any, request: metrics.AppendScalarsRequest) -> int:
    """Where the server stands after a batch."""
    return int((await stubs.metrics.AppendScalars(request)).committed_sequence)


async def points(stubs: Any, task_id: str, **fields: Any) -> list[tuple[str, int, float]]:
    """All points that a reader sees."""
    found: list[tuple[str, int, float]] = []
    async for answer in stubs.metrics.ReadScalars(metrics.ReadScalarsRequest(task_id=task_id, **fields)):
        for each in answer.columns:
            assert len(each.time_unix_millis) == len(each.values)
            found += [(each.metric, step, value) for step, value in zip(each.iterations, each.values, strict=True)]
    return found


async def test_each_record_is_stored_once_however_often_it_is_sent(member: Any) -> None:
    task = await member.started()
    first = batch(task.id, 1, column([0.5, 0.25]))
    assert [await committed(member, first) for _ in range(3)] == [2, 2, 2]
    assert await committed(member, batch(task.id, 4, column([9.0]))) == 2  # a hole: not stored
    assert await committed(member, batch(task.id, 3, column([0.125], 3), column([1.0], 3, metric="acc"))) == 4
    assert await points(member, task.id) == [("loss", 1, 0.5), ("loss", 2, 0.25), ("loss", 3, 0.125), ("acc", 3, 1.0)]
    assert await points(member, task.id, metric="acc") == [("acc", 3, 1.0)]
    shown = await member.get(task.id)
    assert shown.status.last_iteration == 3


async def test_a_batch_without_points_only_asks(member: Any) -> None:
    task = await member.started()
    assert await committed(member, batch(task.id, 1)) == 0
    assert await committed(member, batch(task.id, 1, column([1.0]))) == 1
    assert await committed(member, batch(task.id, 2)) == 1


async def test_a_summary_is_known_without_reading(member: Any) -> None:
    task = await member.started()
    await committed(member, batch(task.id, 1, column([0.5, math.nan, 0.1, 0.7]), column([1.0], metric=":monitor:gpu")))
    answer = await member.metrics.ListScalars(metrics.ListScalarsRequest(task_id=task.id))
    monitor, loss = answer.scalars
    assert (monitor.metric, monitor.count) == (":monitor:gpu", 1)
    assert (loss.count, loss.last_value, loss.last_iteration) == (4, 0.7, 4)
    assert (loss.min_value, loss.min_iteration, loss.max_value, loss.max_iteration) == (0.1, 3, 0.7, 4)


async def test_series_come_page_by_page_and_each_once(member: Any) -> None:
    task = await member.started()
    longest = "\N{MUSICAL SYMBOL G CLEF}" * 500
    names = sorted((metric, variant) for metric in ("a", "b", longest) for variant in ("train", "val"))
    await committed(
        member, batch(task.id, 1, *(column([1.0], metric=metric, variant=variant) for metric, variant in names))
    )
    found: list[tuple[str, str]] = []
    token, sizes = "", []
    while token or not sizes:
        request = metrics.ListScalarsRequest(task_id=task.id, page_size=4, page_token=token)
        answer = await member.metrics.ListScalars(request)
        found += [(each.metric, each.variant) for each in answer.scalars]
        token = answer.next_page_token
        sizes.append(len(answer.scalars))
    assert (found, sizes) == (names, [4, 2])


async def test_a_page_token_of_another_tasks_series_is_refused(member: Any) -> None:
    one, other = await member.started(), await member.started()
    await committed(member, batch(one.id, 1, column([1.0], metric="a"), column([1.0], metric="b")))
    first = await member.metrics.ListScalars(metrics.ListScalarsRequest(task_id=one.id, page_size=1))
    with pytest.raises(FieldViolation, match="page_token"):
        await member.metrics.ListScalars(metrics.ListScalarsRequest(task_id=other.id, page_token=first.next_page_token))


@pytest.mark.parametrize(
    ("request_fields", "field"),
    [
        ({"columns": [metrics.ScalarColumn(metric="a", variant="b", values=[1.0])]}, "columns[0]"),
        ({"columns": [column([1.0, 2.0])], "first_sequence": 5, "last_sequence": 5}, "last_sequence"),
        ({"first_sequence": 0}, "first_sequence"),
        ({"columns": [column([1.0], metric="")]}, "columns[0].metric"),
    ],
)
async def test_a_batch_that_makes_no_sense_is_refused_by_field(
    member: Any, request_fields: dict[str, Any], field: str
) -> None:
    task = await member.started()
    request = batch(task.id, 1, column([1.0]))
    for name, value in request_fields.items():
        request.ClearField(name)
        request.MergeFrom(metrics.AppendScalarsRequest(**{name: value}))
    with pytest.raises(FieldViolation) as refused:
        await committed(member, request)
    assert field in [name for name, _ in refused.value.field_violations]


async def test_an_attempt_reports_by_its_token_and_the_tail_of_a_closed_one_is_taken(api: Any, member: Any) -> None:
    task, _ = await member.queued()
    run = api.run_of(task.id, 1)
    assert await committed(run, batch(task.id, 1, column([1.0]))) == 1
    other = await member.started()
    with pytest.raises(OtherTask):
        await committed(run, batch(other.id, 1, column([1.0])))
    with pytest.raises(StaleAttempt):
        await committed(run, batch(task.id, 1, column([1.0]), attempt=2))
    tail = types.ProducerTail(producer="p", kind=types.TAIL_KIND_SCALARS, end=2)
    state = tasks.TASK_STATE_COMPLETED
    await member.tasks.FinishTask(tasks.FinishTaskRequest(task_id=other.id, attempt=1, state=state, tails=[tail]))
    assert await committed(member, batch(other.id, 1, column([1.0, 2.0]))) == 2
    with pytest.raises(StaleAttempt):
        await committed(member, batch(other.id, 3, column([3.0], 3)))


async def test_a_follower_gets_points_as_they_come_until_the_end(api: Any, member: Any) -> None:
    task = await member.started()
    await committed(member, batch(task.id, 1, column([1.0])))
    stream = member.metrics.ReadScalars(metrics.ReadScalarsRequest(task_id=task.id, follow=True))
    first = await stream.read()
    assert list(first.columns[0].values) == [1.0]
    assert (await stream.read()).synced
    await committed(member, batch(task.id, 2, column([2.0], 2)))
    second = await stream.read()
    assert list(second.columns[0].values) == [2.0]
    rest = asyncio.create_task(points(member, task.id, follow=True, after_position=first.position))
    await member.tasks.FinishTask(tasks.FinishTaskRequest(task_id=task.id, attempt=1, state=tasks.TASK_STATE_COMPLETED))
    assert await api.soon(rest) == [("loss", 2, 2.0)]
    assert await stream.read() is grpc.aio.EOF


async def test_a_long_series_is_read_in_parts(member: Any) -> None:
    task = await member.started()
    for part in range(4):
        values = [float(part)] * 30_000
        await committed(member, batch(task.id, 1 + 30_000 * part, column(values, 1 + 30_000 * part)))
    answers = [a async for a in member.metrics.ReadScalars(metrics.ReadScalarsRequest(task_id=task.id))]
    assert [len(answer.columns[0].values) if answer.columns else 0 for answer in answers] == [60_000, 60_000, 0]
    with pytest.raises(TaskNotFound):
        await points(member, "t9")


def test_the_machines_own_metrics_do_not_count_as_iterations() -> None:
    loss = Column("loss", "train", [1, 7, 3], [0] * 3, [1.0] * 3)
    monitor = Column(":monitor:gpu", "0", [100], [0], [1.0])
    assert greatest_iteration([loss, monitor]) == 7
    assert greatest_iteration([monitor, Column("empty", "", [], [], [])]) is None


WHOLE = st.integers(-(2**63), 2**63 - 1)
SMALL = st.integers(-1000, 1000)
ROWS = st.one_of(
    st.lists(st.tuples(WHOLE, WHOLE, st.floats(allow_nan=True, allow_infinity=True)), min_size=1, max_size=50),
    st.lists(st.tuples(SMALL, SMALL, st.floats(width=32, allow_nan=False)), min_size=1, max_size=50),
)


@given(ROWS)
def test_any_points_come_back_from_disk_exactly(rows: list[tuple[int, int, float]]) -> None:
    iterations, times, values = ([row[place] for row in rows] for place in range(3))
    back = unpack(pack(iterations, times, values))  # type: ignore[arg-type]
    assert back[0] == iterations
    assert back[1] == times
    assert str(back[2]) == str(values)


def test_an_ordinary_loop_takes_little_room() -> None:
    chance = random.Random(1)
    steps = list(range(5000, 6000))
    times = [1_700_000_000_000 + 12 * step + chance.randrange(9) for step in steps]
    noisy = [chance.gauss(0, 1) for _ in steps]
    assert len(pack(steps, times, noisy)) / 1000 < 11
    assert len(pack(steps, times, [1.0] * 1000)) / 1000 < 7


@given(st.lists(st.lists(st.tuples(SMALL, st.floats(allow_nan=True)), max_size=8), max_size=6))
def test_a_summary_grown_in_parts_is_that_of_the_whole(parts: list[list[tuple[int, float]]]) -> None:
    summary = Summary("m", "v")
    for part in parts:
        iterations, values = [step for step, _ in part], [value for _, value in part]
        summary = summary.plus(Column("m", "v", iterations, iterations, values))
    everything = [pair for part in parts for pair in part]
    numbers = [value for _, value in everything if not math.isnan(value)]
    assert summary.count == len(everything)
    if everything:
        top = max(step for step, _ in everything)
        assert summary.last_iteration == top
        assert str(summary.last_value) in {str(value) for step, value in everything if step == top}
    if numbers:
        assert (summary.min_value, summary.max_value) == (min(numbers), max(numbers))
    else:
        assert math.isnan(summary.min_value)
        assert math.isnan(summary.max_value)
