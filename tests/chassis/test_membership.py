"""Who lives among several processes: silence is counted in looks, and whoever was taken for dead begins anew."""

from __future__ import annotations

import pytest

from batuta_chassis.members import Member, MemoryMembers
from batuta_chassis.membership import FencedTransactor, Membership, Pace
from batuta_chassis.testing import MemoryTransactor
from batuta_rpc.errors import ShuttingDown
from batuta_rpc.testing import FakeClock, SeededIds

PACE = Pace(period=1.0, quiet_looks=10, sure=8.0)
Transactor = MemoryTransactor[MemoryMembers]


def _member(store: Transactor, clock: FakeClock, seed: int) -> Membership[MemoryMembers]:
    return Membership(store, lambda members: members, "127.0.0.1:1", clock, SeededIds(seed), PACE)


@pytest.fixture
def store() -> Transactor:
    return MemoryTransactor(MemoryMembers)


async def test_a_process_that_is_silent_for_ten_looks_is_taken_out_and_may_store_nothing_more(
    store: Transactor, clock: FakeClock
) -> None:
    one, two = _member(store, clock, 1), _member(store, clock, 2)
    await one.enter()
    await two.enter()
    fenced = FencedTransactor(store, two)
    before, told = two.id, list[str]()
    two.on_anew(lambda: told.append(two.id))
    changes = [await one.look() for _ in range(11)]
    assert changes == [False] * 10 + [True]
    with pytest.raises(ShuttingDown, match="taken for dead"):
        await fenced.write(lambda members: None)
    assert await two.look()
    assert told == [two.id]
    assert two.id != before
    await fenced.write(lambda members: None)
    assert {row.id for row in store.store.all()} == {one.id, two.id}


async def test_one_whose_entry_is_stored_though_nobody_told_it_enters_all_the_same(
    store: Transactor, clock: FakeClock
) -> None:
    one = _member(store, clock, 1)
    await store.write(lambda members: members.add(Member(one.id, "127.0.0.1:1", 0)))
    assert await one.look()
    assert one.confirmed
    assert len(store.store.all()) == 1


async def test_a_watcher_that_stood_still_has_seen_no_silence(store: Transactor, clock: FakeClock) -> None:
    one, two = _member(store, clock, 1), _member(store, clock, 2)
    await one.enter()
    await two.enter()
    await one.look()
    clock.advance(3_600)
    assert not await one.look()
    assert len(store.store.all()) == 2


async def test_one_that_beats_lives_and_may_rely_on_it_for_eight_seconds(store: Transactor, clock: FakeClock) -> None:
    one, two = _member(store, clock, 1), _member(store, clock, 2)
    assert not one.confirmed
    await one.enter()
    await two.enter()
    for _ in range(30):
        assert not await one.look()
        assert not await two.look()
    clock.advance(7.9)
    assert one.confirmed
    clock.advance(0.2)
    assert not one.confirmed


async def test_the_oldest_leads_and_when_it_leaves_the_next_one(store: Transactor, clock: FakeClock) -> None:
    both = sorted((_member(store, clock, seed) for seed in (1, 2)), key=lambda each: each.id)
    for each in both:
        await each.enter()
    for each in both:
        await each.look()
    assert [each.leading for each in both] == [True, False]
    await both[0].leave()
    assert await both[1].look()
    assert [each.leading for each in both] == [False, True]
