"""What waits to be written to one agent."""

from __future__ import annotations

import asyncio

import pytest

from batuta_proto.agents import v1 as agents
from batuta_queue.outgoing import Outgoing
from batuta_rpc.errors import SessionSuperseded, SlowConsumer


def ack(number: int) -> agents.SessionResponse:
    return agents.SessionResponse(report_ack=agents.ReportAck(report_number=number))


def large() -> agents.SessionResponse:
    return agents.SessionResponse(assignment=agents.Assignment(payload=b"x" * 600))


async def test_messages_come_in_order_and_then_the_end() -> None:
    outgoing = Outgoing(10, 1000)
    for number in (1, 2):
        assert outgoing.put(ack(number))
    outgoing.finish()
    assert not outgoing.put(ack(3))
    assert [await outgoing.get() for _ in range(2)] == [ack(1), ack(2)]
    assert await outgoing.get() is None


async def test_too_many_messages_end_the_stream_and_not_the_memory() -> None:
    outgoing = Outgoing(2, 1000)
    assert [outgoing.put(ack(number)) for number in (1, 2, 3)] == [True, True, False]
    with pytest.raises(SlowConsumer):
        await outgoing.get()


async def test_too_many_bytes_end_the_stream_but_one_message_may_be_large() -> None:
    outgoing = Outgoing(10, 500)
    assert outgoing.put(large())
    assert not outgoing.put(large())
    with pytest.raises(SlowConsumer):
        await outgoing.get()


async def test_a_reader_that_waits_is_woken_by_the_error() -> None:
    outgoing = Outgoing(10, 500)
    reader = asyncio.ensure_future(outgoing.get())
    await asyncio.sleep(0)
    outgoing.fail(SessionSuperseded("gone"))
    outgoing.fail(SlowConsumer("later"))
    with pytest.raises(SessionSuperseded):
        await reader


async def test_what_was_read_makes_room() -> None:
    outgoing = Outgoing(1, 500)
    for number in range(5):
        assert outgoing.put(ack(number))
        await outgoing.get()
