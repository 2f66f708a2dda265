"""The event log as the API reads it."""

from __future__ import annotations

from typing import Any

import pytest

from batuta_proto.queues import v1 as queues
from batuta_rpc.clock import SystemClock, within
from batuta_rpc.errors import CursorExpired, ShuttingDown


def watching(house: Any, after: Any = None):
    return house.stub.WatchAttempts(queues.WatchAttemptsRequest(after=after))


async def read(call: Any):
    return await within(SystemClock(), 20.0, call.read())


async def test_the_first_answer_tells_the_epoch_even_when_nothing_happened(house: Any) -> None:
    call = watching(house)
    first = await read(call)
    assert list(first.events) == []
    assert first.cursor.log_epoch
    assert first.cursor.position == 0
    await house.submit("e1")
    second = await read(call)
    assert [event.entry_id for event in second.events] == ["e1"]
    assert second.cursor.position == second.events[-1].position == 1


async def test_a_reader_goes_on_after_its_cursor_without_a_hole(house: Any) -> None:
    for number in range(5):
        await house.submit(f"e{number}")
    call = watching(house)
    whole = await read(call)
    assert [event.position for event in whole.events] == [1, 2, 3, 4, 5]
    again = watching(house, queues.Cursor(log_epoch=whole.cursor.log_epoch, position=3))
    assert [event.position for event in (await read(again)).events] == [4, 5]


async def test_a_long_log_comes_in_bounded_batches(house: Any) -> None:
    for number in range(620):
        await house.submit(f"e{number}")
    call = watching(house)
    first, second = await read(call), await read(call)
    assert (len(first.events), len(second.events)) == (500, 120)
    assert second.events[0].position == 501


@pytest.mark.parametrize("position", [0, 99])
async def test_a_cursor_of_another_log_or_from_the_future_is_refused(house: Any, position: int) -> None:
    epoch = (await read(watching(house))).cursor.log_epoch
    foreign = epoch if position else "another-log"
    with pytest.raises(CursorExpired):
        await read(watching(house, queues.Cursor(log_epoch=foreign, position=position)))


async def test_the_log_survives_a_restart_with_its_epoch(open_house: Any) -> None:
    async with open_house() as house:
        await house.submit("e1")
        cursor = (await read(watching(house))).cursor
    async with open_house() as house:
        await house.submit("e2")
        events = (await read(watching(house, cursor))).events
        assert [(event.entry_id, event.position) for event in events] == [("e2", 2)]


async def test_a_broker_that_goes_down_tells_its_readers(open_house: Any) -> None:
    async with open_house() as house:
        call = watching(house)
        await read(call)
        await house.service.process.stop(grace=5)
        with pytest.raises(ShuttingDown):
            await read(call)
