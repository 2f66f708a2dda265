"""Whatever happens at once, no entry is given out twice, and all go in the order that people left."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batuta_chassis.database import Database, sqlite_url
from batuta_chassis.migrations import migrate
from batuta_chassis.transactions import SqlTransactor
from batuta_proto.queues import v1 as queues
from batuta_queue.__main__ import MIGRATIONS
from batuta_queue.ledger import Ledger
from batuta_queue.load import Load
from batuta_queue.model import NO_PAYLOAD, Cancel, CancelReason, EntryState, Event, Ref
from batuta_queue.moves import Mover
from batuta_queue.numbers import Numbers
from batuta_queue.queues import Queues
from batuta_queue.sql import SqlStore
from batuta_queue.store import QueueStore
from batuta_queue.tables import metadata
from batuta_queue.testing import MemoryTransactor, make_entry, make_holder
from batuta_queue.transitions import enter, offer, withdraw
from batuta_rpc.errors import FieldViolation, IllegalTransition
from batuta_rpc.testing import FakeClock, SeededIds

NAMES = "abcdef"
ENTRY = st.sampled_from(NAMES)
PLACE = st.one_of(
    st.just({}),
    st.just({"first": True}),
    st.just({"last": True}),
    st.builds(lambda name: {"before_entry_id": name}, ENTRY),
)
CHANGE = st.one_of(
    st.tuples(st.just("move"), ENTRY, PLACE),
    st.tuples(st.just("withdraw"), ENTRY, st.just({})),
    st.tuples(st.just("claim"), st.integers(1, 2).map(str), st.just({})),
)
ROUNDS = st.lists(st.lists(CHANGE, min_size=1, max_size=5, unique_by=lambda change: change[:2]), max_size=5)
Change = tuple[str, str, dict[str, Any]]


@dataclass
class Place:
    """One entry in the line as it ought to be."""

    name: str
    priority: int
    waits: bool = True


class Line:
    """What the log says, event by event, of the order."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        self.given_out: list[str] = []

    def take(self, event: Event, moves: dict[str, dict[str, Any]], priorities: dict[str, int]) -> None:
        """Follow one event; `moves` are those that were asked for at its time, by entry."""
        known = next((each for each in self.places if each.name == event.entry_id), None)
        if known is None:
            self._behind(Place(event.entry_id, priorities[event.entry_id]))
        elif event.entry_state is EntryState.OFFERED:
            assert known is next(each for each in self.places if each.waits)
            assert event.entry_id not in self.given_out
            self.given_out.append(event.entry_id)
            known.waits = False
        elif event.entry_state is EntryState.WITHDRAWN:
            self.places.remove(known)
        else:
            self._move(known, moves[event.entry_id])

    def _move(self, moved: Place, asked: dict[str, Any]) -> None:
        if asked.get("before_entry_id") == moved.name:
            return
        first, last = self.places[0].priority, self.places[-1].priority
        self.places.remove(moved)
        if "before_entry_id" in asked:
            index = [each.name for each in self.places].index(asked["before_entry_id"])
            self.places.insert(index, Place(moved.name, self.places[index].priority))
        elif "first" in asked:
            self.places.insert(0, Place(moved.name, first))
        else:
            self._behind(Place(moved.name, last if "last" in asked else moved.priority))

    def _behind(self, new: Place) -> None:
        ahead = sum(each.priority >= new.priority for each in self.places)
        self.places.insert(ahead, new)


@asynccontextmanager
async def opened(kind: str, folder: Path, clock: FakeClock) -> AsyncGenerator[Any]:
    """A store of its own, its log opened."""
    if kind == "memory":
        transactor: Any = MemoryTransactor()
        await transactor.write(lambda store: store.open_log("log"))
        yield transactor
        return
    database = Database(sqlite_url(folder / f"{uuid.uuid4()}.db"), metadata, clock)
    try:
        migrate(database.engine, MIGRATIONS)
        transactor = SqlTransactor[QueueStore](database, lambda connection: SqlStore(connection, clock))
        await transactor.write(lambda store: store.open_log("log"))
        yield transactor
    finally:
        await database.close()


def submit(store: QueueStore, priorities: dict[str, int]) -> None:
    ledger = Ledger(store, lambda steps: None)
    for name, priority in priorities.items():
        ledger.record(enter(make_entry(name, priority=priority)), NO_PAYLOAD)
    ledger.write()


def claim(store: QueueStore, count: int) -> None:
    ledger = Ledger(store, lambda steps: None)
    for entry, _ in store.waiting("default", count, 5_000):
        ledger.record(offer(entry, make_holder(), entry.attempt + 1, 5_000))
    ledger.write()


def take_out(store: QueueStore, name: str) -> None:
    entry = store.entry(name)
    assert entry is not None
    found = store.attempt(Ref(entry.task_id, entry.attempt))
    step = withdraw(entry, None if found is None else found[1], Cancel(0, CancelReason.USER), 5_000)
    if step is not None:
        ledger = Ledger(store, lambda steps: None)
        ledger.record(step)
        ledger.write()


def told_after(store: QueueStore, position: int) -> list[Event]:
    return store.events(position, 1_000)


async def change(transactor: Any, mover: Mover, asked: Change) -> None:
    kind, name, place = asked
    if kind == "claim":
        await transactor.write(lambda store: claim(store, int(name)))
    elif kind == "withdraw":
        await transactor.write(lambda store: take_out(store, name))
    else:
        with suppress(IllegalTransition, FieldViolation):  # it, or what it was to stand before, is gone
            await mover.move(queues.MoveEntryRequest(entry_id=name, **place))


async def run(kind: str, folder: Path, priorities: dict[str, int], rounds: Sequence[Sequence[Change]]) -> None:
    clock, numbers = FakeClock(), Numbers()
    async with opened(kind, folder, clock) as transactor:
        names = Queues(transactor, numbers, clock, SeededIds())
        mover = Mover(transactor, names, lambda steps: None, Load(numbers), clock)
        line, seen = Line(), 0
        await transactor.write(lambda store: submit(store, priorities))
        for asked in ((), *rounds):
            work: list[Coroutine[Any, Any, None]] = [change(transactor, mover, each) for each in asked]
            await asyncio.gather(*work)
            moves = {name: place for what, name, place in asked if what == "move"}
            for event in await transactor.read(partial(told_after, position=seen)):
                line.take(event, moves, priorities)
                seen = event.position
        live = await transactor.read(lambda store: store.live_entries("default", None, 100))
        assert [(each.id, each.priority) for each in live] == [(each.name, each.priority) for each in line.places]
        waiting = await transactor.read(lambda store: store.waiting("default", 100, 5_000))
        assert [entry.id for entry, _ in waiting] == [each.name for each in line.places if each.waits]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_claims_moves_and_withdrawals_at_once_keep_the_order_and_give_nothing_out_twice(
    kind: str, tmp_path: Path
) -> None:
    @settings(max_examples=100 if kind == "memory" else 60, deadline=None)
    @given(st.fixed_dictionaries({name: st.integers(-1, 1) for name in NAMES}), ROUNDS)
    def holds(priorities: dict[str, int], rounds: list[list[Change]]) -> None:
        asyncio.run(run(kind, tmp_path, priorities, rounds))

    holds()
