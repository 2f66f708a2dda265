"""One request, one effect, however often it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, func, select

from batuta_chassis.database import Database
from batuta_chassis.requests import REQUESTS, once, purge
from batuta_chassis.testing import MemoryRequests
from batuta_proto.queues import v1 as queues
from batuta_rpc.errors import RequestIdReused
from batuta_rpc.testing import FakeClock, SeededIds, until

if TYPE_CHECKING:
    from tests.chassis.conftest import Notes


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


METHOD = "batuta.queues.v1.QueueService/CreateQueue"
ID = SeededIds().request_id()


def create(connection: Any, name: str, request_id: str = ID, caller: str = "ada", note: Any = None) -> Any:
    """What a servicer's use case does."""
    request = queues.CreateQueueRequest(display_name=name, request_id=request_id)

    def effect() -> queues.CreateQueueResponse:
        if note is not None:
            note(connection).add(f"{caller}/{name}")
        return queues.CreateQueueResponse(queue=queues.Queue(id="q1", display_name=name))

    return once(connection, caller, METHOD, request, effect)


async def test_the_same_request_again_has_no_effect_and_gets_the_same_answer(
    database: Database, notes: type[Notes]
) -> None:
    first = await database.write(lambda c: create(c, "gpu", note=notes))
    again = await database.write(lambda c: create(c, "gpu", note=notes))
    assert again == first
    assert await database.read(lambda c: notes(c).all()) == ["ada/gpu"]


async def test_the_same_request_twice_in_one_commit_has_one_effect(database: Database, notes: type[Notes]) -> None:
    await asyncio.gather(*(database.write(lambda c: create(c, "gpu", note=notes)) for _ in range(20)))
    assert await database.read(lambda c: notes(c).all()) == ["ada/gpu"]


async def test_the_same_id_with_other_contents_is_refused(database: Database) -> None:
    await database.write(lambda c: create(c, "gpu"))
    with pytest.raises(RequestIdReused, match="another CreateQueue"):
        await database.write(lambda c: create(c, "cpu"))


async def test_ids_of_other_callers_do_not_meet(database: Database, notes: type[Notes]) -> None:
    await database.write(lambda c: create(c, "gpu", note=notes))
    await database.write(lambda c: create(c, "cpu", caller="bob", note=notes))
    assert await database.read(lambda c: notes(c).all()) == ["ada/gpu", "bob/cpu"]


async def test_a_request_without_an_id_always_runs(database: Database, notes: type[Notes]) -> None:
    await database.write(lambda c: create(c, "a", request_id="", note=notes))
    await database.write(lambda c: create(c, "b", request_id="", note=notes))
    assert len(await database.read(lambda c: notes(c).all())) == 2


async def test_a_request_whose_effect_failed_may_be_tried_again(database: Database, notes: type[Notes]) -> None:
    def failing(connection: Connection) -> None:
        create(connection, "gpu", note=notes)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(failing)
    await database.write(lambda c: create(c, "gpu", note=notes))
    assert await database.read(lambda c: notes(c).all()) == ["ada/gpu"]


def test_answers_may_be_kept_in_memory_too() -> None:
    kept = MemoryRequests()
    assert create(kept, "gpu") == create(kept, "gpu")
    with pytest.raises(RequestIdReused):
        create(kept, "cpu")


async def test_answers_are_forgotten_after_a_day(
    open_database: Callable[..., Database], clock: FakeClock, notes: type[Notes]
) -> None:
    database = open_database()  # its patience is real: who sleeps by the clock below is the purge
    request = queues.CreateQueueRequest(display_name="q", request_id=ID)

    def answer() -> queues.CreateQueueResponse:
        return queues.CreateQueueResponse()

    await database.write(lambda c: once(c, "ada", METHOD, request, answer, clock))
    clock.advance(23 * 3600)
    await database.write(lambda c: once(c, "bob", METHOD, request, answer, clock))
    task = asyncio.ensure_future(purge(database, clock)())
    await until(lambda: clock.sleepers == 1)
    assert await count(database) == 2
    clock.advance(2 * 3600)
    await until(lambda: clock.sleepers == 1)
    assert await count(database) == 1
    task.cancel()


async def count(database: Database) -> int:
    return await database.read(lambda c: c.execute(select(func.count()).select_from(REQUESTS)).scalar_one())
