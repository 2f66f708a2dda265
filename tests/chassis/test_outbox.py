"""What was acknowledged is delivered: at once, in order per key, through outages and crashes."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Connection, func, select

from batuta_chassis import outbox_sender
from batuta_chassis.database import Database
from batuta_chassis.outbox import OUTBOX, Outbox, OutboxRow
from batuta_chassis.outbox_sender import OutboxSender
from batuta_rpc import errors
from batuta_rpc.clock import SystemClock
from batuta_rpc.errors import RpcError
from batuta_rpc.ids import SystemIds
from batuta_rpc.testing import until

if TYPE_CHECKING:
    from tests.chassis.conftest import Notes


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


class Receiver:
    """The service on the other side."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.by_key: dict[str, list[int]] = defaultdict(list)
        self.failures: list[Exception] = []
        self.refused: list[tuple[str, str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.at_once = 0
        self.most_at_once = 0

    async def deliver(self, row: OutboxRow) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.open.wait()
            await asyncio.sleep(0)
            if self.failures:
                raise self.failures.pop(0)
            self.got.append(row.payload.decode())
            self.by_key[row.ordering_key].append(row.id)
        finally:
            self.at_once -= 1

    async def on_refused(self, row: OutboxRow, error: RpcError) -> None:
        self.refused.append((row.payload.decode(), error.reason))


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@contextlib.asynccontextmanager
async def sending(database: Database, receiver: Receiver) -> AsyncGenerator[None]:
    """The sender at work."""
    sender = OutboxSender(database, receiver.deliver, SystemClock(), SystemIds(), receiver.on_refused)
    task = asyncio.create_task(sender.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def send(database: Database, text: str, key: str = "k") -> None:
    await database.write(lambda c: Outbox.add(c, "topic", key, text.encode()))


async def left(database: Database) -> int:
    return await database.read(lambda c: c.execute(select(func.count()).select_from(OUTBOX)).scalar_one())


async def until_empty(database: Database) -> None:
    remaining = await left(database)
    for _ in range(2_000):
        if not remaining:
            return
        await asyncio.sleep(0.01)
        remaining = await left(database)
    raise AssertionError(f"{remaining} messages are still in the outbox")


async def test_a_message_arrives_after_its_commit_and_is_then_forgotten(database: Database, receiver: Receiver) -> None:
    async with sending(database, receiver):
        await send(database, "hello")
        await until(lambda: receiver.got == ["hello"])
        await until_empty(database)


async def test_a_change_that_was_undone_sends_nothing(
    database: Database, receiver: Receiver, notes: type[Notes]
) -> None:
    def use_case(connection: Connection) -> None:
        notes(connection).add("x")
        Outbox.add(connection, "topic", "k", b"never")
        raise LookupError

    async with sending(database, receiver):
        with pytest.raises(LookupError):
            await database.write(use_case)
        await send(database, "after")
        await until(lambda: receiver.got == ["after"])


async def test_messages_of_one_key_arrive_in_the_order_of_their_commits(database: Database, receiver: Receiver) -> None:
    async with sending(database, receiver):
        await asyncio.gather(*(send(database, f"{n}", key=f"key{n % 7}") for n in range(400)))
        await until(lambda: len(receiver.got) == 400)
    assert all(ids == sorted(ids) for ids in receiver.by_key.values())
    assert 1 < receiver.most_at_once <= 64


async def test_what_waited_before_the_start_is_delivered_first(database: Database, receiver: Receiver) -> None:
    for text in ("a", "b"):
        await send(database, text)
    async with sending(database, receiver):
        await send(database, "c")
        await until(lambda: receiver.got == ["a", "b", "c"])


async def test_an_outage_delays_and_loses_nothing(database: Database, receiver: Receiver) -> None:
    receiver.failures = [errors.Unavailable("away"), errors.DeadlineExceeded("slow"), errors.ShuttingDown("soon")]
    receiver.failures[2] = errors.RateLimited("slowly", retry_delay=0.01)
    async with sending(database, receiver):
        await send(database, "a")
        await send(database, "b")
        await until(lambda: receiver.got == ["a", "b"])
        await until_empty(database)
    assert receiver.refused == []


async def test_one_key_that_waits_does_not_hold_up_the_others(database: Database, receiver: Receiver) -> None:
    receiver.failures = [errors.Unavailable("away")]
    async with sending(database, receiver):
        await send(database, "slow", key="one")
        await send(database, "quick", key="two")
        await until(lambda: len(receiver.got) == 2)
    assert receiver.got[0] == "quick"


async def test_a_message_that_is_refused_for_good_is_reported_and_lets_the_next_pass(
    database: Database, receiver: Receiver
) -> None:
    receiver.failures = [errors.QueueNotFound("no such queue")]
    async with sending(database, receiver):
        await send(database, "bad")
        await send(database, "good")
        await until(lambda: receiver.got == ["good"])
        await until_empty(database)
    assert receiver.refused == [("bad", "QUEUE_NOT_FOUND")]


async def test_a_message_on_which_delivery_breaks_is_given_up_after_ten_tries(
    database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_sender, "_FAULTS", 3)
    receiver.failures = [ZeroDivisionError("a fault of ours") for _ in range(3)]
    async with sending(database, receiver):
        await send(database, "bad")
        await until(lambda: len(receiver.refused) == 1)
        await send(database, "good")
        await until(lambda: receiver.got == ["good"])


async def test_what_was_on_its_way_at_a_crash_is_delivered_again(database: Database, receiver: Receiver) -> None:
    receiver.open.clear()
    async with sending(database, receiver):
        await send(database, "a")
        await until(lambda: receiver.at_once == 1)
    receiver.open.set()
    async with sending(database, receiver):
        await until(lambda: receiver.got == ["a"])
        await until_empty(database)


async def test_more_than_memory_should_hold_waits_in_the_table(
    database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_sender, "_IN_MEMORY", 10)
    monkeypatch.setattr(outbox_sender, "_PAGE", 5)
    receiver.open.clear()
    async with sending(database, receiver):
        await asyncio.gather(*(send(database, f"{n}") for n in range(100)))
        receiver.open.set()
        await until(lambda: len(receiver.got) == 100)
        await send(database, "last")
        await until(lambda: receiver.got[-1] == "last")
        await until_empty(database)
    assert receiver.by_key["k"] == sorted(set(receiver.by_key["k"]))
