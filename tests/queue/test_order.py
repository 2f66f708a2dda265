"""Whatever happens at once, no entry is given out twice, and all go in the order that people left."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

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


class Processes:
    """Processes on one PostgreSQL database, each with connections of its own, emptied for every example."""

    def __init__(self, url: str, count: int) -> None:
        clock = FakeClock()
        self._databases = [Database(url, metadata, clock, schema="queue") for _ in range(count)]
        migrate(self._databases[0].engine, MIGRATIONS)
        self.transactors: list[Any] = [
            SqlTransactor[QueueStore](each, lambda connection: SqlStore(connection, clock)) for each in self._databases
        ]

    async def empty(self) -> None:
        """Begin anew."""
        await self._databases[0].write(_truncate)
        await self.transactors[0].write(lambda store: store.open_log("log"))

    async def close(self) -> None:
        """Let go of all connections."""
        for each in self._databases:
            await each.close()


def _truncate(connection: Connection) -> None:
    names = ", ".join(f'"{table.name}"' for table in metadata.sorted_tables)
    connection.execute(text(f"TRUNCATE {names}"))


@asynccontextmanager
async def opened(kind: str, folder: Path, clock: FakeClock, url: str) -> AsyncGenerator[list[Any]]:
    """An empty store, its log opened, as each of the processes that share it has it."""
    if kind == "memory":
        transactor: Any = MemoryTransactor()
        await transactor.write(lambda store: store.open_log("log"))
        yield [transactor]
        return
    if kind == "postgresql":
        processes = Processes(url, 3)
        try:
            await processes.empty()
            yield processes.transactors
        finally:
            await processes.close()
        return
    database = Database(sqlite_url(folder / f"{uuid.uuid4()}.db"), metadata, clock)
    try:
        migrate(database.engine, MIGRATIONS)
        transactor = SqlTransactor[QueueStore](database, lambda connection: SqlStore(connection, clock))
        await transactor.write(lambda store: store.open_log("log"))
        yield [transactor]
    finally:
        await database.close()


def submit(store: QueueStore, priorities: dict[str, int]) -> None:
    ledger = Ledger(store, lambda steps: None)
    for name, priority in priorities.items():
        ledger.record(enter(make_entry(name, priority=priority)), NO_PAYLOAD)
    ledger.write()


def claim(store: QueueStore, count: int, agent_id: str = "agent-1") -> int:
    ledger = Ledger(store, lambda steps: None)
    for entry, _ in store.waiting("default", count, 5_000):
        ledger.record(offer(entry, make_holder(agent_id), entry.attempt + 1, 5_000))
    return len(ledger.write())


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


class Process:
    """One process that changes the line."""

    def __init__(self, transactor: Any) -> None:
        clock, numbers = FakeClock(), Numbers()
        self._transactor = transactor
        names = Queues(transactor, numbers, clock, SeededIds())
        self._mover = Mover(transactor, names, lambda steps: None, Load(numbers), clock)

    async def change(self, asked: Change) -> None:
        """Do what is asked."""
        kind, name, place = asked
        if kind == "claim":
            await self._transactor.write(lambda store: claim(store, int(name)))
        elif kind == "withdraw":
            await self._transactor.write(lambda store: take_out(store, name))
        else:
            with suppress(IllegalTransition, FieldViolation):  # it, or what it was to stand before, is gone
                await self._mover.move(queues.MoveEntryRequest(entry_id=name, **place))


async def run(
    kind: str, folder: Path, priorities: dict[str, int], rounds: Sequence[Sequence[Change]], url: str = ""
) -> None:
    clock = FakeClock()
    async with opened(kind, folder, clock, url) as transactors:
        transactor, processes = transactors[0], list(map(Process, transactors))
        line, seen = Line(), 0
        await transactor.write(lambda store: submit(store, priorities))
        for asked in ((), *rounds):
            work: list[Coroutine[Any, Any, None]] = [
                processes[place % len(processes)].change(each) for place, each in enumerate(asked)
            ]
            await asyncio.gather(*work)
            moves = {name: place for what, name, place in asked if what == "move"}
            for event in await transactor.read(partial(told_after, position=seen)):
                line.take(event, moves, priorities)
                seen = event.position
        live = await transactor.read(lambda store: store.live_entries("default", None, 100))
        assert [(each.id, each.priority) for each in live] == [(each.name, each.priority) for each in line.places]
        waiting = await transactor.read(lambda store: store.waiting("default", 100, 5_000))
        assert [entry.id for entry, _ in waiting] == [each.name for each in line.places if each.waits]


EXAMPLES = {"memory": 100, "sqlite": 60, "postgresql": 20}


def holds_always(kind: str, folder: Path, examples: int, url: str) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(st.fixed_dictionaries({name: st.integers(-1, 1) for name in NAMES}), ROUNDS)
    def holds(priorities: dict[str, int], rounds: list[list[Change]]) -> None:
        asyncio.run(run(kind, folder, priorities, rounds, url))

    holds()


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgresql"])
def test_claims_moves_and_withdrawals_at_once_keep_the_order_and_give_nothing_out_twice(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("new_database")() if kind == "postgresql" else ""
    holds_always(kind, tmp_path, EXAMPLES[kind], url)


@pytest.mark.nightly
def test_the_same_of_three_processes_on_postgresql_for_much_longer(
    tmp_path: Path, new_database: Callable[[], str]
) -> None:
    holds_always("postgresql", tmp_path, 1_000, new_database())


async def test_processes_that_claim_at_once_on_postgresql_give_each_entry_out_once_and_in_order(
    new_database: Callable[[], str],
) -> None:
    processes = Processes(new_database(), 4)
    priorities = {f"e{number:03}": -(number % 3) for number in range(120)}
    names = list(priorities)

    async def claim_all(transactor: Any, agent_id: str) -> None:
        """Claim until nothing waits and nothing more comes."""
        while await transactor.write(lambda store: claim(store, 2, agent_id)) or not all_in.is_set():
            pass

    async def submit_all(transactor: Any) -> None:
        for start in range(0, len(names), 8):
            part = {name: priorities[name] for name in names[start : start + 8]}
            await transactor.write(lambda store, part=part: submit(store, part))
        all_in.set()

    try:
        await processes.empty()
        all_in = asyncio.Event()
        claimers = [claim_all(each, f"agent-{number}") for number, each in enumerate(processes.transactors)]
        await asyncio.gather(submit_all(processes.transactors[0]), *claimers)
        line, events = Line(), await processes.transactors[0].read(lambda store: store.events(0, 1_000))
        for event in events:
            line.take(event, {}, priorities)
        assert len({event.agent_id for event in events} - {""}) > 1
        assert sorted(line.given_out) == names
    finally:
        await processes.close()
