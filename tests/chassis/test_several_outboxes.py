"""Several processes deliver from one outbox: each its own, in the order of their keys, and what the dead left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from batuta_chassis.database import Database
from batuta_chassis.members import Member, SqlMembers
from batuta_chassis.outbox import Outbox, OutboxRow
from batuta_chassis.outbox_sender import OutboxSender
from batuta_rpc.clock import SystemClock
from batuta_rpc.testing import SeededIds, until


class _Receiver:
    """Takes messages, unless it is closed; notes who brought what."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def take(self, process: str, row: OutboxRow) -> None:
        await self.open.wait()
        self.got.append((process, row.payload))


def _sender(database: Database, process: str, receiver: _Receiver) -> OutboxSender:
    database.process = process
    return OutboxSender(database, partial(receiver.take, process), SystemClock(), SeededIds())


async def _add(database: Database, key: str, payload: bytes) -> None:
    await database.write(lambda connection: Outbox.add(connection, "topic", key, payload))


async def test_a_message_waits_for_the_older_one_of_its_key_at_another_process(
    open_database: Callable[..., Database],
) -> None:
    one, two, slow, quick = open_database(), open_database(), _Receiver(), _Receiver()
    one.create_all()
    senders = [_sender(one, "one", slow), _sender(two, "two", quick)]
    running = [asyncio.create_task(each.run()) for each in senders]
    slow.open.clear()
    await _add(one, "task", b"first")
    await _add(two, "task", b"second")
    await _add(two, "other", b"free")
    await until(lambda: quick.got == [("two", b"free")])
    slow.open.set()
    await until(lambda: quick.got == [("two", b"free"), ("two", b"second")])
    assert slow.got == [("one", b"first")]
    for each in running:
        each.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_what_a_dead_process_left_is_delivered_by_another_and_goes_first(
    open_database: Callable[..., Database],
) -> None:
    dead, alive, receiver = open_database(), open_database(), _Receiver()
    dead.create_all()
    await alive.write(lambda connection: SqlMembers(connection).add(Member("alive", "", 0)))
    dead.process = "dead"
    await _add(dead, "task", b"first")
    sender = _sender(alive, "alive", receiver)
    running = asyncio.create_task(sender.run())
    await _add(alive, "task", b"second")
    await _add(alive, "other", b"free")
    await until(lambda: receiver.got == [("alive", b"free")])
    await sender.take_over()
    await until(lambda: len(receiver.got) == 3)
    assert receiver.got[1:] == [("alive", b"first"), ("alive", b"second")]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
