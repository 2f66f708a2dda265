"""What every store promises of histories."""

from __future__ import annotations

from typing import Any

import pytest

from batuta_queue.history import TIERS, Point
from batuta_queue.history_store import of_agent
from batuta_queue.model import NO_PAYLOAD, EntryState, QueueCounts
from batuta_queue.store import QueueStore
from batuta_queue.testing import make_agent, make_entry

BUSY = Point(6, (1.5, 2.0, 0.0), (3.0, 2.0, 0.0, 90_000.0), (), {3: 2, 130: 1})
GPUS = Point(1, (50.0,) * 17, (50.0,) * 17, ("GPU-1/", "GPU-2/MIG-1"))


async def test_points_come_back_as_they_were_stored_and_by_time(stores: Any) -> None:
    def fill(store: QueueStore) -> None:
        for millis in (20_000, 0, 10_000):
            store.save_points(0, millis, {"queue:a": BUSY, "agent:b": GPUS})
        store.save_points(1, 0, {"queue:a": GPUS})

    await stores.write(fill)
    assert await stores.read(lambda store: store.history("queue:a", 0, 0, 20_000)) == [(0, BUSY), (10_000, BUSY)]
    assert await stores.read(lambda store: store.history("agent:b", 0, 20_000, 99_000)) == [(20_000, GPUS)]
    assert await stores.read(lambda store: store.history("queue:a", 1, 0, 99_000)) == [(0, GPUS)]
    found = await stores.read(lambda store: store.points_at(["queue:a", "agent:b", "queue:c"], 0, 10_000))
    assert found == {"queue:a": BUSY, "agent:b": GPUS}
    assert await stores.read(lambda store: store.points_at(["agent:b"], 1, 0)) == {}


@pytest.mark.parametrize("tier", range(len(TIERS)))
async def test_a_ring_holds_no_more_than_its_slots_however_long_it_is_written(stores: Any, tier: int) -> None:
    period, slots = TIERS[tier].period, TIERS[tier].slots

    def fill(store: QueueStore) -> None:
        for number in range(slots + 50):
            store.save_points(tier, number * period, {"queue:a": BUSY})

    await stores.write(fill)
    found = await stores.read(lambda store: store.history("queue:a", tier, 0, (slots + 99) * period))
    assert (len(found), found[0][0], found[-1][0]) == (slots, 50 * period, (slots + 49) * period)
    assert await stores.read(lambda store: store.points_at(["queue:a"], tier, 0)) == {}


async def test_a_point_takes_the_place_of_what_is_there(stores: Any) -> None:
    await stores.write(lambda store: store.save_points(0, 0, {"queue:a": BUSY}))
    await stores.write(lambda store: store.save_points(0, 0, {"queue:a": GPUS}))
    assert await stores.read(lambda store: store.history("queue:a", 0, 0, 1)) == [(0, GPUS)]


async def test_a_history_goes_with_its_agent_and_no_other_does(stores: Any) -> None:
    def fill(store: QueueStore) -> None:
        for name in ("old", "new"):
            store.save_agent(make_agent(name, heartbeat_millis=0 if name == "old" else 5_000))
            store.save_points(0, 0, {of_agent(name): GPUS})

    await stores.write(fill)
    assert await stores.write(lambda store: store.purge(1_000, 100)) == 1
    for name, count in (("old", 0), ("new", 1)):
        subject = of_agent(name)
        assert len(await stores.read(lambda store, subject=subject: store.history(subject, 0, 0, 1))) == count


async def test_all_queues_are_counted_at_once_but_for_what_has_none(stores: Any) -> None:
    def fill(store: QueueStore) -> None:
        for name, queue_id, state in (
            ("a", "one", EntryState.WAITING),
            ("b", "one", EntryState.HELD),
            ("c", "two", EntryState.RUNNING),
            ("d", "", EntryState.RUNNING),
            ("e", "three", EntryState.DONE),
        ):
            ended = 1 if state.ended else None
            store.add_entry(make_entry(name, queue_id=queue_id, state=state, end_millis=ended), NO_PAYLOAD)

    await stores.write(fill)
    found = await stores.read(lambda store: store.count_entries(None))
    assert found == {"one": QueueCounts(2, 0, 1), "two": QueueCounts(0, 1, 0)}
