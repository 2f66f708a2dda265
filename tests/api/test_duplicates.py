"""Every call sent twice, every batch re-sent, batches late and out of order: exactly one effect of each."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from batuta_proto.logs import v1 as logs
from batuta_proto.metrics import v1 as metrics
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_rpc import calls_aio
from batuta_rpc.auth import StaticToken
from batuta_rpc.channel import options
from batuta_rpc.errors import IllegalTransition, StaleAttempt
from batuta_rpc.ids import SystemIds

ON_AGENT, DONE = queues.ENTRY_STATE_RUNNING, queues.ENTRY_STATE_DONE
WAITING, OFFERED = queues.ENTRY_STATE_WAITING, queues.ENTRY_STATE_OFFERED


class Twice(grpc.aio.UnaryUnaryClientInterceptor):
    """Sends every unary call twice, as a network does that loses answers. The caller gets the second one."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, Any, Any]] = []

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        first = await self._outcome(await continuation(client_call_details, request))
        call = await continuation(client_call_details, request)
        second = await self._outcome(call)
        self.outcomes.append((client_call_details.method, first, second))
        return call

    def check(self) -> None:
        """Both times the same was answered."""
        for method, first, second in self.outcomes:
            assert first == second, method

    @staticmethod
    async def _outcome(call: Any) -> Any:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            return error.code()


@pytest.fixture
async def twice() -> Twice:
    """What doubles calls."""
    return Twice()


@pytest.fixture
async def doubled(api: Any, member: Any, twice: Twice) -> AsyncIterator[Any]:
    """A member's stubs, each of whose calls arrives twice."""
    raw = grpc.aio.insecure_channel(api.running.address, options=options(), interceptors=[twice])
    token = StaticToken(api.running.tokens.of("member", subject="ada"))
    channel: Any = calls_aio.Channel(raw, api.running.address, token, lambda: (), 20.0, SystemIds())
    yield type(member).on(channel)
    await channel.close()


def batch(task_id: str, first: int, last: int, attempt: int = 1) -> metrics.AppendScalarsRequest:
    """Records `first` to `last`, whose value is their sequence."""
    numbers = list(range(first, last + 1))
    column = metrics.ScalarColumn(
        metric="loss", variant="train", iterations=numbers, time_unix_millis=numbers, values=[float(n) for n in numbers]
    )
    return metrics.AppendScalarsRequest(
        task_id=task_id, attempt=attempt, producer="p1", first_sequence=first, last_sequence=last, columns=[column]
    )


async def values(stubs: Any, task_id: str) -> list[float]:
    """All points of a task, as a reader gets them."""
    found = []
    async for answer in stubs.metrics.ReadScalars(metrics.ReadScalarsRequest(task_id=task_id)):
        for column in answer.columns:
            found += list(column.values)
    return found


async def text(stubs: Any, task_id: str) -> bytes:
    """The log of a task."""
    stream = stubs.logs.ReadLog(logs.ReadLogRequest(task_id=task_id))
    return b"".join([chunk.data async for answer in stream for chunk in answer.chunks])


async def write_twice(stubs: Any, task_id: str, pieces: list[bytes], attempt: int = 1) -> None:
    """Every chunk twice, and after the last one all of them again on a new stream."""

    async def messages(times: int) -> AsyncIterator[logs.AppendLogRequest]:
        offset = 0
        for piece in pieces:
            for _ in range(times):
                yield logs.AppendLogRequest(
                    task_id=task_id, attempt=attempt, producer="console", offset=offset, data=piece
                )
            offset += len(piece)

    for times in (2, 1):
        stream = stubs.logs.AppendLog(messages(times))
        answers = [answer async for answer in stream]
        assert answers[-1].committed_offset == sum(map(len, pieces))


async def test_a_local_life_with_every_call_doubled_has_one_effect_of_each(
    api: Any, member: Any, doubled: Any, twice: Twice
) -> None:
    task = await doubled.draft("doubled")
    task = tasks.Task.FromString(task.SerializeToString())
    task.spec.comment = "edited"
    mask = FieldMask(paths=["spec.comment"])
    await doubled.tasks.UpdateTask(tasks.UpdateTaskRequest(task=task, update_mask=mask))
    copy = (await doubled.tasks.CloneTask(tasks.CloneTaskRequest(task_id=task.id))).task
    await doubled.tasks.StartTask(tasks.StartTaskRequest(task_id=task.id, host="laptop"))
    for first in (1, 11):
        await doubled.metrics.AppendScalars(batch(task.id, first, first + 9))
    await write_twice(doubled, task.id, [b"one\n", b"two\n", b"three\n"])
    finish = tasks.FinishTaskRequest(task_id=task.id, attempt=1, state=tasks.TASK_STATE_COMPLETED, exit_code=0)
    ended = (await doubled.tasks.FinishTask(finish)).task
    assert (ended.status.state, ended.status.attempt) == (tasks.TASK_STATE_COMPLETED, 1)
    listed = (await member.tasks.ListTasks(tasks.ListTasksRequest())).tasks
    assert sorted(each.id for each in listed) == sorted([task.id, copy.id])
    assert await values(member, task.id) == [float(n) for n in range(1, 21)]
    assert await text(member, task.id) == b"one\ntwo\nthree\n"
    history = (await member.tasks.ListAttempts(tasks.ListAttemptsRequest(task_id=task.id))).attempts
    assert [each.attempt for each in history] == [1]
    # Made, edited, started, ended: four changes; signs of life are none.
    assert int((await member.get(task.id)).etag) == 4
    assert len(twice.outcomes) == 7
    twice.check()


async def test_a_queued_life_with_every_call_and_event_doubled_has_one_effect_of_each(
    api: Any, member: Any, doubled: Any, twice: Twice
) -> None:
    service = api.queue.service
    draft = await doubled.draft("doubled")
    queue = tasks.EnqueueTaskRequest(task_id=draft.id, queue_name="default")
    entry = (await doubled.tasks.EnqueueTask(queue)).entry_id
    await api.eventually(lambda: entry in service.entries)
    story: list[tuple[int, int, int]] = [
        (OFFERED, types.ATTEMPT_PHASE_OFFERED, 1),
        (ON_AGENT, types.ATTEMPT_PHASE_RUNNING, 1),
        (WAITING, types.ATTEMPT_PHASE_LOST, 1),
        (OFFERED, types.ATTEMPT_PHASE_OFFERED, 2),
        (ON_AGENT, types.ATTEMPT_PHASE_RUNNING, 2),
    ]
    for state, phase, attempt in story:
        service.tell(entry, state, phase, attempt)
        service.tell(entry, state, phase, attempt)
    await member.until(draft.id, lambda seen: seen.status.phase == types.ATTEMPT_PHASE_RUNNING)
    run = api.run_of(draft.id, 2)
    await write_twice(run, draft.id, [b"a", b"bc"], attempt=2)
    await doubled.metrics.AppendScalars(batch(draft.id, 1, 5, attempt=2))
    await doubled.tasks.AbortTask(tasks.AbortTaskRequest(task_id=draft.id, message="enough"))
    await api.eventually(lambda: entry in service.withdrawals)
    for _ in range(2):
        service.tell(entry, DONE, types.ATTEMPT_PHASE_CANCELLED, 2)
    await member.until_state(draft.id, tasks.TASK_STATE_ABORTED)
    assert [each.entry_id for each in service.submissions] == [entry]
    assert service.withdrawals == [entry]
    assert await text(member, draft.id) == b"abc"
    assert await values(member, draft.id) == [1.0, 2.0, 3.0, 4.0, 5.0]
    history = (await member.tasks.ListAttempts(tasks.ListAttemptsRequest(task_id=draft.id))).attempts
    assert [(each.attempt, each.phase) for each in history] == [
        (2, types.ATTEMPT_PHASE_CANCELLED),
        (1, types.ATTEMPT_PHASE_LOST),
    ]
    await doubled.tasks.ResetTask(tasks.ResetTaskRequest(task_id=draft.id))
    assert (await member.get(draft.id)).status.state == tasks.TASK_STATE_DRAFT
    twice.check()


async def test_what_the_queue_gets_twice_because_an_answer_was_lost_has_one_effect(api: Any, member: Any) -> None:
    service = api.queue.service
    service.lose_answers = 2
    task, entry = await member.queued()
    await api.eventually(lambda: len(service.submissions) == 3)
    assert service.submissions[0] == service.submissions[1] == service.submissions[2]
    assert list(service.entries) == [entry]
    service.tell(entry, ON_AGENT, types.ATTEMPT_PHASE_RUNNING, 1)
    await member.until_state(task.id, tasks.TASK_STATE_RUNNING)
    service.lose_answers = 1
    await member.tasks.AbortTask(tasks.AbortTaskRequest(task_id=task.id))
    await api.eventually(lambda: service.withdrawals == [entry, entry])
    service.tell(entry, DONE, types.ATTEMPT_PHASE_CANCELLED, 1)
    await member.until_state(task.id, tasks.TASK_STATE_ABORTED)


async def test_refusals_are_the_same_the_second_time(api: Any, doubled: Any, twice: Twice) -> None:
    task = await doubled.draft()
    with pytest.raises(IllegalTransition):
        await doubled.tasks.AbortTask(tasks.AbortTaskRequest(task_id=task.id))
    finish = tasks.FinishTaskRequest(task_id=task.id, attempt=3, state=tasks.TASK_STATE_FAILED)
    with pytest.raises(StaleAttempt):
        await doubled.tasks.FinishTask(finish)
    twice.check()


async def test_batches_that_come_late_and_out_of_order_are_stored_in_order_and_once(member: Any) -> None:
    task = await member.started()
    chance = random.Random(20)
    firsts = [*range(1, 101, 10)] * 3
    chance.shuffle(firsts)
    committed = 0

    async def send(first: int) -> None:
        nonlocal committed
        while committed < first + 9:
            await asyncio.sleep(chance.uniform(0.0, 0.05))
            before = committed  # answers may overtake one another: only one asked for later must know as much
            answer = await member.metrics.AppendScalars(batch(task.id, first, first + 9))
            assert answer.committed_sequence >= before
            committed = max(committed, answer.committed_sequence)

    await asyncio.wait_for(asyncio.gather(*(send(first) for first in firsts)), 30)
    assert await values(member, task.id) == [float(n) for n in range(1, 101)]
    assert (await member.get(task.id)).status.last_iteration == 100


async def test_an_end_that_overtakes_its_last_batches_loses_none_of_them(api: Any, member: Any) -> None:
    task = await member.started()
    await member.write_log(task.id, 1, b"begin ")
    tails = [
        types.ProducerTail(producer="console", kind=types.TAIL_KIND_LOG, end=9),
        types.ProducerTail(producer="p1", kind=types.TAIL_KIND_SCALARS, end=10),
    ]
    following = asyncio.create_task(_followed(member, task.id))
    await member.tasks.FinishTask(
        tasks.FinishTaskRequest(task_id=task.id, attempt=1, state=tasks.TASK_STATE_COMPLETED, tails=tails)
    )
    late = [member.write_log(task.id, 1, b"end", offset=6), member.metrics.AppendScalars(batch(task.id, 1, 10))]
    await asyncio.gather(*late)
    assert await api.soon(following) == b"begin end"
    assert len(await values(member, task.id)) == 10


async def _followed(stubs: Any, task_id: str) -> bytes:
    stream = stubs.logs.ReadLog(logs.ReadLogRequest(task_id=task_id, follow=True))
    return b"".join([chunk.data async for answer in stream for chunk in answer.chunks])
