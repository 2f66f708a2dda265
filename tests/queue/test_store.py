"""What every store promises, asked of each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from batuta_chassis.members import Member
from batuta_queue.ledger import Ledger
from batuta_queue.model import (
    NO_PAYLOAD,
    Attempt,
    AttemptPhase,
    Cancel,
    CancelReason,
    Drain,
    Entry,
    EntryState,
    Event,
    Gpu,
    LeasePolicy,
    Pause,
    Payload,
    QueueCounts,
    Reason,
    Ref,
    Report,
    Resources,
    Tail,
)
from batuta_queue.share_store import Placement
from batuta_queue.store import Outlook, QueueNameExists, QueueStore
from batuta_queue.testing import make_agent, make_attempt, make_entry, make_holder, make_queue
from batuta_queue.transitions import Step, enter, give_back, offer, report, withdraw


async def test_queues_are_found_by_id_and_by_name_and_listed_by_name(stores: Any) -> None:
    def fill(store: QueueStore) -> None:
        for name in ("gpu große Kiste", "default", "空 キュー"):
            store.add_queue(make_queue(name, lease_policy=LeasePolicy.FAST))

    await stores.write(fill)
    assert (await stores.read(lambda store: store.queue("default"))).name == "default"
    assert (await stores.read(lambda store: store.queue_by_name("空 キュー"))).lease_policy is LeasePolicy.FAST
    assert await stores.read(lambda store: store.queue("other")) is None
    assert [each.name for each in await stores.read(lambda store: store.queues("", 2))] == [
        "default",
        "gpu große Kiste",
    ]
    assert [each.name for each in await stores.read(lambda store: store.queues("gpu große Kiste", 9))] == ["空 キュー"]


async def test_an_entry_is_placed_between_others_of_its_queue(stores: Any) -> None:
    def fill(store: QueueStore) -> None:
        for place, name in enumerate("abc"):
            store.add_entry(make_entry(name, position=place), NO_PAYLOAD)
        store.add_entry(make_entry("urgent", priority=1, position=0), NO_PAYLOAD)
        store.add_entry(make_entry("elsewhere", queue_id="other", position=1), NO_PAYLOAD)
        store.add_entry(make_entry("over", state=EntryState.DONE, position=0, end_millis=1), NO_PAYLOAD)

    def put_before_c(store: QueueStore) -> None:
        moved, other = store.entry("elsewhere"), store.entry("c")
        assert moved is not None
        assert other is not None
        place = replace(moved, queue_id="default", position=store.make_room(other), hold_reason="not stored here")
        store.place_entries([place])

    await stores.write(fill)
    assert (await stores.read(lambda store: store.last_entry("default"))).id == "c"
    await stores.write(put_before_c)
    live = await stores.read(lambda store: store.live_entries("default", None, 9))
    assert [each.id for each in live] == ["urgent", "a", "b", "elsewhere", "c"]
    assert [entry.id for entry, _ in await stores.read(lambda store: store.waiting("default", 9, 0))] == [
        each.id for each in live
    ]
    assert live[3].hold_reason == ""
    assert [live[0].position, (await stores.read(lambda store: store.entry("over"))).position] == [0, 0]
    assert await stores.read(lambda store: store.last_entry("other")) is None


async def test_a_queue_is_changed_but_for_a_name_that_another_has(stores: Any) -> None:
    await stores.write(lambda store: [store.add_queue(make_queue(name)) for name in ("a", "b")])
    await stores.write(lambda store: store.pause_queue("a", Pause(5, "ada")))
    changed = replace(make_queue("a"), name="猫", lease_policy=LeasePolicy.KEEP, description="for cats", generation=2)
    await stores.write(lambda store: store.save_queue(changed))
    assert await stores.read(lambda store: store.queue_by_name("猫")) == replace(changed, pause=Pause(5, "ada"))
    with pytest.raises(QueueNameExists) as caught:
        await stores.write(lambda store: store.save_queue(replace(changed, name="b")))
    assert caught.value.winner.id == "b"


async def test_what_runs_in_a_queue_that_is_dropped_has_no_queue_any_more(stores: Any) -> None:
    def fill(store: QueueStore) -> None:
        store.add_queue(make_queue("default"))
        store.add_entry(make_entry("runs", state=EntryState.RUNNING, wait_millis=7), NO_PAYLOAD)
        store.add_entry(make_entry("over", state=EntryState.DONE, end_millis=1), NO_PAYLOAD)
        store.drop_queue("default")

    await stores.write(fill)
    assert await stores.read(lambda store: store.queue("default")) is None
    runs, over = [await stores.read(lambda store, name=name: store.entry(name)) for name in ("runs", "over")]
    assert (runs.queue_id, runs.wait_millis, over.queue_id) == ("", 7, "default")
    assert (await stores.read(lambda store: store.outlook(make_entry("new")))).policy is None


async def test_live_entries_are_listed_by_their_states(stores: Any) -> None:
    def fill(store: QueueStore) -> None:
        for place, state in enumerate(EntryState):
            ended = 1 if state.ended else None
            store.add_entry(make_entry(state.name, state=state, position=place, end_millis=ended), NO_PAYLOAD)

    await stores.write(fill)
    held = (EntryState.HELD, EntryState.WAITING)
    found = await stores.read(lambda store: store.live_entries("default", None, 9, held))
    assert [each.id for each in found] == ["WAITING", "HELD"]
    found = await stores.read(lambda store: store.live_entries("default", (0, 0), 9, held))
    assert [each.id for each in found] == ["HELD"]


async def test_nothing_waits_to_go_in_a_paused_queue(stores: Any) -> None:
    def fill(store: QueueStore) -> None:
        store.add_queue(make_queue("default"))
        store.add_entry(make_entry("a"), NO_PAYLOAD)
        store.pause_queue("default", Pause(5, "ada"))

    await stores.write(fill)
    assert (await stores.read(lambda store: store.queue("default"))).pause == Pause(5, "ada")
    assert await stores.read(lambda store: store.waiting("default", 9, 9)) == []
    assert await stores.read(lambda store: store.outlook(make_entry("b"))) == Outlook(
        False, True, 0, paused=True, policy=LeasePolicy.STRICT
    )
    await stores.write(lambda store: store.pause_queue("default", None))
    assert (await stores.read(lambda store: store.queue("default"))).pause is None
    assert len(await stores.read(lambda store: store.waiting("default", 9, 9))) == 1


async def test_a_name_that_is_taken_tells_the_winner(stores: Any) -> None:
    await stores.write(lambda store: store.add_queue(make_queue("default", id="first")))
    with pytest.raises(QueueNameExists) as caught:
        await stores.write(lambda store: store.add_queue(make_queue("default", id="second")))
    assert caught.value.winner.id == "first"


async def test_an_entry_comes_back_as_it_was_stored(stores: Any) -> None:
    entry = make_entry(
        owner="ada",
        project_id="p1",
        resources=Resources(2.5, 1 << 34, 2),
        policy=LeasePolicy.KEEP,
        max_losses=7,
        time_limit_millis=60_000,
        priority=-3,
        position=12,
        attempt=4,
    )
    await stores.write(lambda store: store.add_entry(entry, Payload(b"\x00\xff", "x/y")))
    assert await stores.read(lambda store: store.entry(entry.id)) == entry
    assert await stores.read(lambda store: store.payloads([entry.id, "none"])) == {
        entry.id: Payload(b"\x00\xff", "x/y")
    }
    changed = replace(
        entry,
        state=EntryState.HELD,
        agent_id="agent-1",
        attempt=5,
        hold_reason="why",
        losses=2,
        last_lost_agent="agent-2",
        not_before_millis=9,
        cancel=Cancel(1_500, CancelReason.USER),
        end_millis=77,
    )
    await stores.write(lambda store: store.save_entries([changed]))
    assert await stores.read(lambda store: store.entry(entry.id)) == changed


async def test_many_entries_take_one_place_after_the_other(stores: Any) -> None:
    new = [(make_entry(f"e{number}", priority=number), Payload(f"{number}".encode(), "x/y")) for number in range(3)]
    await stores.write(lambda store: store.add_entries(new, 40))
    stored = [await stores.read(lambda store, entry=entry: store.entry(entry.id)) for entry, _ in new]
    assert stored == [
        replace(entry, position=40 + number, last_position=40 + number) for number, (entry, _) in enumerate(new)
    ]
    assert (await stores.read(lambda store: store.payloads(["e1"])))["e1"] == Payload(b"1", "x/y")
    states = await stores.read(lambda store: store.entry_states(["e2", "none", "e0"]))
    assert states == {"e0": EntryState.WAITING, "e2": EntryState.WAITING}


def line(*entries: Entry) -> Callable[[QueueStore], None]:
    def fill(store: QueueStore) -> None:
        for entry in entries:
            store.add_entry(entry, Payload(entry.id.encode()))

    return fill


async def test_waiting_entries_come_by_priority_then_place_and_only_when_they_may(stores: Any) -> None:
    await stores.write(
        line(
            make_entry("a", position=1),
            make_entry("b", position=2, priority=5),
            make_entry("c", position=3, priority=5),
            make_entry("later", position=4, priority=9, not_before_millis=500),
            make_entry("runs", position=5, priority=9, state=EntryState.RUNNING),
            make_entry("elsewhere", position=6, queue_id="other"),
        )
    )
    found = await stores.read(lambda store: store.waiting("default", 10, 499))
    assert [(entry.id, payload.data) for entry, payload in found] == [("b", b"b"), ("c", b"c"), ("a", b"a")]
    assert [entry.id for entry, _ in await stores.read(lambda store: store.waiting("default", 2, 500))] == [
        "later",
        "b",
    ]
    assert await stores.read(lambda store: store.waiting_queues()) == {"default": 500, "other": 0}
    meets = await stores.read(
        lambda store: [store.outlook(make_entry("b")), store.outlook(make_entry(queue_id="none"))]
    )
    assert meets == [Outlook(True, True, 0), Outlook(False, False, 0)]


async def test_live_entries_page_in_order(stores: Any) -> None:
    entries = [make_entry(f"e{n}", position=n, priority=n % 2) for n in range(6)]
    await stores.write(line(*entries, make_entry("gone", position=9, state=EntryState.DONE, end_millis=1)))
    first = await stores.read(lambda store: store.live_entries("default", None, 4))
    assert [entry.id for entry in first] == ["e1", "e3", "e5", "e0"]
    rest = await stores.read(lambda store: store.live_entries("default", (0, 0), 4))
    assert [entry.id for entry in rest] == ["e2", "e4"]
    counts = await stores.read(lambda store: store.count_entries(["default", "none"]))
    assert counts == {"default": QueueCounts(6, 0)}


async def test_many_attempts_are_stored_changed_and_found_at_once(stores: Any) -> None:
    entries = [make_entry(f"e{n}", task_id=f"t{n}") for n in range(4)]
    attempts = [make_attempt(entry, n + 1) for n, entry in enumerate(entries)]
    odd = "agent \\' \x00"

    def store_all(store: QueueStore) -> None:
        store.add_entries([(entry, NO_PAYLOAD) for entry in entries], 1)
        store.add_attempts(attempts)
        ends = [replace(each, phase=AttemptPhase.REJECTED, end_millis=n or None) for n, each in enumerate(attempts[:3])]
        store.save_attempts(ends)
        store.save_entries([replace(each, agent_id=odd + each.id) for each in entries[:3]])

    await stores.write(store_all)
    refs = [each.ref for each in attempts]
    found = await stores.read(lambda store: store.attempts([*refs, Ref("nobody's", 1)]))
    assert set(found) == set(refs)
    assert [found[ref][1].phase for ref in refs] == [AttemptPhase.REJECTED] * 3 + [attempts[3].phase]
    assert [found[ref][1].end_millis for ref in refs] == [None, 1, 2, None]
    assert [found[ref][0].agent_id for ref in refs] == [*(odd + each.id for each in entries[:3]), entries[3].agent_id]


async def test_attempts_open_and_close(stores: Any) -> None:
    entry = make_entry(state=EntryState.RUNNING, attempt=2)
    closed = make_attempt(entry, 1, phase=AttemptPhase.REJECTED, end_millis=5)
    opened = make_attempt(entry, 2, offer_millis=9)

    def fill(store: QueueStore) -> None:
        store.add_entry(entry, NO_PAYLOAD)
        store.add_attempts([closed, opened])

    await stores.write(fill)
    assert await stores.read(lambda store: store.attempt(Ref(entry.task_id, 2))) == (entry, opened)
    assert await stores.read(lambda store: store.attempt(Ref(entry.task_id, 3))) is None
    assert await stores.read(lambda store: store.open_attempts()) == [(entry, opened)]
    assert await stores.read(lambda store: store.open_attempts("journal-of-agent-1")) == [(entry, opened)]
    assert await stores.read(lambda store: store.open_attempts("other")) == []
    last = await stores.read(lambda store: store.last_attempts([entry.task_id, "none"]))
    assert last == {entry.task_id: 2}
    assert await stores.read(lambda store: store.last_attempts(["none"])) == {}
    done: Attempt = replace(opened, phase=AttemptPhase.LOST, accept_millis=10, end_millis=11)
    await stores.write(lambda store: store.save_attempts([done]))
    assert await stores.read(lambda store: store.open_attempts()) == []
    assert (await stores.read(lambda store: store.attempt(done.ref)))[1] == done


async def test_agents_are_kept_as_they_last_said(stores: Any) -> None:
    agent = make_agent(
        labels={"rack": "7"},
        capabilities=("drain",),
        capacity=Resources(8, 1 << 36, 1),
        gpus=(Gpu("GPU-1", 0, "NVIDIA H200", 1 << 37, "550"),),
        queue_ids=("default", "services"),
    )
    await stores.write(lambda store: store.save_agent(make_agent()))
    await stores.write(lambda store: store.save_agent(agent))
    await stores.write(lambda store: store.save_agent(make_agent("agent-2")))
    assert await stores.read(lambda store: store.agent("agent-1")) == agent
    await stores.write(lambda store: store.touch_agents({"agent-1": 9_000, "unknown": 1}))
    assert (await stores.read(lambda store: store.agent("agent-1"))).heartbeat_millis == 9_000
    assert [each.id for each in await stores.read(lambda store: store.agents("agent-1", 9))] == ["agent-2"]


async def test_a_journals_report_number_only_grows(stores: Any) -> None:
    assert await stores.read(lambda store: store.report_number("j")) == 0
    for number in (3, 7, 5):
        await stores.write(lambda store, number=number: store.save_report_number("j", number))
    assert await stores.read(lambda store: store.report_number("j")) == 7


def event(position: int, **changes: Any) -> Event:
    base = Event(position, "e", "t", EntryState.DONE, 1, AttemptPhase.FAILED, 1_000 + position)
    return replace(base, **changes)


async def test_the_log_gives_positions_without_holes_and_keeps_events_whole(stores: Any) -> None:
    whole = event(
        1,
        agent_id="agent-1",
        host="h",
        reason=Reason("SHIM_LOST", "gone", 14, b"status"),
        exit_code=0,
        signal=9,
        tails=(Tail("console", 1, 99),),
    )

    def fill(store: QueueStore) -> None:
        store.open_log("epoch-1")
        store.open_log("epoch-2")
        assert store.next_positions(2) == 1
        assert store.next_positions(1) == 3
        store.add_events([whole, event(2), event(3)])

    await stores.write(fill)
    assert await stores.read(lambda store: store.events(0, 10)) == [whole, event(2), event(3)]
    assert [each.position for each in await stores.read(lambda store: store.events(1, 1))] == [2]
    bounds = await stores.read(lambda store: store.log_bounds())
    assert (bounds.epoch, bounds.first, bounds.head) == ("epoch-1", 1, 3)


async def test_a_use_case_that_fails_leaves_no_trace_and_no_hole(stores: Any) -> None:
    await stores.write(lambda store: store.open_log("epoch"))

    def fail(store: QueueStore) -> None:
        store.add_entry(make_entry(), NO_PAYLOAD)
        store.next_positions(5)
        store.after_commit(lambda: pytest.fail("nothing was committed"))
        raise LookupError

    with pytest.raises(LookupError):
        await stores.write(fail)
    assert await stores.read(lambda store: store.entry("entry-1")) is None
    assert await stores.write(lambda store: store.next_positions(1)) == 1


async def test_hooks_run_once_what_they_belong_to_is_committed(stores: Any) -> None:
    ran: list[int] = []
    for number in range(3):
        await stores.write(lambda store, number=number: store.after_commit(lambda: ran.append(number)))
    assert ran == [0, 1, 2]


async def test_old_history_is_forgotten_and_what_lives_is_not(stores: Any) -> None:
    def fill(store: QueueStore) -> None:
        store.open_log("epoch")
        store.add_entry(make_entry("old", state=EntryState.DONE, end_millis=10), NO_PAYLOAD)
        store.add_attempts([make_attempt(make_entry("old"), phase=AttemptPhase.LOST)])
        store.add_entry(make_entry("young", state=EntryState.DONE, end_millis=5_000), NO_PAYLOAD)
        store.add_entry(make_entry("alive"), NO_PAYLOAD)
        first = store.next_positions(3)
        store.add_events([event(first + n, event_millis=millis) for n, millis in enumerate((10, 20, 5_000))])

    await stores.write(fill)
    assert await stores.write(lambda store: store.purge(1_000, 100)) == 3
    assert await stores.write(lambda store: store.purge(1_000, 100)) == 0
    left = await stores.read(lambda store: [store.entry(name) is not None for name in ("old", "young", "alive")])
    assert left == [False, True, True]
    assert await stores.read(lambda store: store.attempt(Ref("task-of-old", 1))) is None
    assert [each.position for each in await stores.read(lambda store: store.events(0, 9))] == [3]
    assert (await stores.read(lambda store: store.log_bounds())).first == 3


async def test_a_request_is_remembered_with_its_answer(stores: Any) -> None:
    await stores.write(lambda store: store.keep_request("ada", "m", "id", b"hash", b"answer"))
    assert await stores.read(lambda store: store.find_request("ada", "m", "id")) == (b"hash", b"answer")
    assert await stores.read(lambda store: store.find_request("bob", "m", "id")) is None


async def test_agents_silent_for_long_are_forgotten_with_their_journals(stores: Any) -> None:
    def fill(store: QueueStore) -> None:
        store.open_log("epoch")
        for name, millis in (("gone", 10), ("here", 5_000)):
            store.save_agent(make_agent(name, heartbeat_millis=millis))
            store.save_report_number(f"journal-of-{name}", 7)
        busy = make_entry(state=EntryState.RUNNING, attempt=1)
        store.add_entry(busy, NO_PAYLOAD)
        store.add_attempts([make_attempt(busy, agent_id="busy")])
        store.save_report_number("journal-of-busy", 7)

    await stores.write(fill)
    assert await stores.write(lambda store: store.purge(1_000, 100)) == 1
    assert [each.id for each in await stores.read(lambda store: store.agents("", 9))] == ["here"]
    journals = [f"journal-of-{name}" for name in ("gone", "here", "busy")]
    assert await stores.read(lambda store: [store.report_number(each) for each in journals]) == [0, 7, 7]


async def test_agents_of_a_member_that_is_gone_are_adopted_once(stores: Any) -> None:
    entry = make_entry()

    def fill(store: QueueStore) -> None:
        for name in ("dead", "alive", "other"):
            store.members.add(Member(name, "127.0.0.1:1", 0))
        for agent_id, owner in (("busy", "dead"), ("idle", "dead"), ("elsewhere", "alive")):
            store.save_agent(make_agent(agent_id))
            store.place(Placement(agent_id, f"journal-of-{agent_id}", "i1", "host", owner, "s1"))
        store.add_entry(entry, NO_PAYLOAD)
        store.add_attempts([make_attempt(entry, agent_id="busy")])

    await stores.write(fill)
    assert await stores.write(lambda store: store.adopt("alive")) == []
    assert not await stores.write(lambda store: store.members.remove(Member("dead", "127.0.0.1:1", 7)))
    assert await stores.write(lambda store: store.members.remove(Member("dead", "127.0.0.1:1", 0)))
    assert await stores.write(lambda store: store.adopt("alive")) == ["busy"]
    assert await stores.write(lambda store: store.adopt("other")) == []
    assert await stores.write(lambda store: store.owned("alive", ["busy", "idle", "elsewhere"])) == {
        "busy",
        "elsewhere",
    }
    assert [each.ref for _, each in await stores.read(lambda store: store.attempts_of("alive"))] == [(entry.task_id, 1)]
    assert await stores.read(lambda store: store.attempts_of("other")) == []
    mine = await stores.read(lambda store: store.placements("alive"))
    assert {(each.agent_id, each.session_id) for each in mine} == {("busy", ""), ("elsewhere", "s1")}


async def test_an_agent_is_in_one_place_and_its_journal_under_one_name(stores: Any) -> None:
    def move(store: QueueStore) -> None:
        store.members.add(Member("one", "", 0))
        store.members.add(Member("two", "", 0))
        store.save_agent(make_agent("new", journal_id="j"))
        store.place(Placement("old", "j", "i1", "host", "one", "s1"))
        store.place(Placement("new", "j", "i2", "host", "two", "s2"))

    await stores.write(move)
    old, new = await stores.read(lambda store: (store.placement("old"), store.placement("new")))
    assert (old.owner, old.session_id) == ("two", "")
    assert (new.owner, new.session_id) == ("two", "s2")
    await stores.write(lambda store: store.end_session("new", "s1"))
    await stores.write(lambda store: store.save_views("one", {"new": b"not mine"}))
    await stores.write(lambda store: store.save_views("two", {"new": b"seen"}))
    (there,) = await stores.read(lambda store: store.elsewhere("one"))
    assert (there.agent_id, there.view, there.queue_ids) == ("new", b"seen", ("default",))
    assert await stores.read(lambda store: store.elsewhere("one", ["old"])) == []
    assert await stores.read(lambda store: store.elsewhere("two")) == []
    await stores.write(lambda store: store.end_session("new", "s2"))
    assert await stores.read(lambda store: store.elsewhere("one")) == []


async def test_members_count_beats_until_they_are_removed(stores: Any) -> None:
    await stores.write(lambda store: store.members.add(Member("one", "here", 0)))
    assert await stores.write(lambda store: store.members.beat("one"))
    assert await stores.read(lambda store: store.members.all()) == [Member("one", "here", 1)]
    assert await stores.write(lambda store: store.members.present("one"))
    assert await stores.write(lambda store: store.members.remove(Member("one", "here", 1)))
    assert not await stores.write(lambda store: store.members.beat("one"))
    assert not await stores.write(lambda store: store.members.present("one"))


async def test_a_queue_is_ready_when_an_entry_waits_there_that_may_go(stores: Any) -> None:
    def fill(store: QueueStore) -> None:
        for name in ("default", "later", "empty"):
            store.add_queue(make_queue(name))
        store.add_entry(make_entry(), NO_PAYLOAD)
        store.add_entry(make_entry("e2", queue_id="later", not_before_millis=5_000), NO_PAYLOAD)

    await stores.write(fill)
    asked = ["default", "later", "empty"]
    assert await stores.read(lambda store: store.ready_queues(asked, 4_999)) == ["default"]
    assert set(await stores.read(lambda store: store.ready_queues(asked, 5_000))) == {"default", "later"}


async def test_a_drain_outlives_every_hello_and_ends_when_it_is_taken_back(stores: Any) -> None:
    drain = Drain("new disks", 5_000, 9_000)
    await stores.write(lambda store: store.save_agent(make_agent("a")))
    await stores.write(lambda store: store.save_agent(make_agent("b")))
    await stores.write(lambda store: store.drain_agent("a", drain))
    await stores.write(lambda store: store.save_agent(make_agent("a", instance_id="another")))
    agent = await stores.read(lambda store: store.agent("a"))
    assert (agent.instance_id, agent.drain) == ("another", drain)
    assert [each.id for each in await stores.read(lambda store: store.drained_agents())] == ["a"]
    await stores.write(lambda store: store.drain_agent("a", Drain("for good", 6_000)))
    assert (await stores.read(lambda store: store.agent("a"))).drain == Drain("for good", 6_000, None)
    await stores.write(lambda store: store.drain_agent("a", None))
    assert (await stores.read(lambda store: store.agent("a"))).drain is None
    assert await stores.read(lambda store: store.drained_agents()) == []


async def test_who_left_is_not_among_those_heard_until_it_says_hello_again(stores: Any) -> None:
    for name, heard in (("a", 1_000), ("b", 2_000), ("c", 3_000)):
        agent = make_agent(name, heartbeat_millis=heard)
        await stores.write(lambda store, agent=agent: store.save_agent(agent))
    await stores.write(lambda store: store.agent_left("c", 4_000))
    assert await stores.read(lambda store: store.heard_since(2_000)) == {"b": 2_000}
    assert (await stores.read(lambda store: store.agent("c"))).leave_millis == 4_000
    await stores.write(lambda store: store.save_agent(make_agent("c", heartbeat_millis=5_000)))
    assert await stores.read(lambda store: store.heard_since(2_000)) == {"b": 2_000, "c": 5_000}


async def test_a_drained_agent_is_not_forgotten(stores: Any) -> None:
    await stores.write(lambda store: store.open_log("epoch"))
    for name in ("drained", "silent"):
        await stores.write(lambda store, name=name: store.save_agent(make_agent(name)))
    await stores.write(lambda store: store.drain_agent("drained", Drain("", 1_000)))
    await stores.write(lambda store: store.purge(1_000_000, 10))
    assert [each.id for each in await stores.read(lambda store: store.agents("", 10))] == ["drained"]


async def told(stores: Any, *steps: Step) -> None:
    def write(store: QueueStore) -> None:
        ledger = Ledger(store, lambda _steps: None)
        for step in steps:
            ledger.record(step)
        ledger.write()

    await stores.write(write)


async def test_the_newest_event_of_an_entry_is_that_of_its_last_change(stores: Any) -> None:
    await stores.write(lambda store: store.open_log("epoch"))
    waiting, running = enter(make_entry("w")), enter(make_entry("r"))
    await told(stores, waiting, running)
    offered = offer(running.entry, make_holder(), 1, 2_000)
    await told(stores, offered)
    assert offered.attempt is not None
    said = Report(1, offered.attempt.ref, AttemptPhase.ACCEPTED, 3_000)
    accepted = report(offered.entry, offered.attempt, said, 3_000, 0.5)
    assert accepted is not None
    await told(stores, accepted)
    assert accepted.attempt is not None
    said = Report(2, offered.attempt.ref, AttemptPhase.RUNNING, 4_000)
    further = report(accepted.entry, accepted.attempt, said, 4_000, 0.5)
    assert further is not None
    await told(stores, further)
    found = await stores.read(lambda store: store.newest_events(["r", "nobody", "w"]))
    assert {name: (event.position, event.phase) for name, event in found.items()} == {
        "w": (1, AttemptPhase.UNSPECIFIED),
        "r": (5, AttemptPhase.RUNNING),
    }
    live = await stores.read(lambda store: store.live_events("", 10))
    assert [event.entry_id for event in live] == ["r", "w"]
    assert [event.entry_id for event in await stores.read(lambda store: store.live_events("r", 10))] == ["w"]
    assert [event.entry_id for event in await stores.read(lambda store: store.live_events("", 1))] == ["r"]


async def test_an_entry_taken_out_after_a_lost_attempt_says_so_last(stores: Any) -> None:
    await stores.write(lambda store: store.open_log("epoch"))
    await told(stores, enter(make_entry("e")))
    offered = offer(make_entry("e", position=1), make_holder(), 1, 2_000)
    await told(stores, offered)
    assert offered.attempt is not None
    back = give_back(offered.entry, offered.attempt, Reason("OFFER_RETURNED", ""), 3_000)
    await told(stores, back)
    gone = withdraw(back.entry, None, Cancel(0, CancelReason.USER), 4_000)
    assert gone is not None
    await told(stores, gone)
    event = (await stores.read(lambda store: store.newest_events(["e"])))["e"]
    assert (event.position, event.entry_state) == (4, EntryState.WITHDRAWN)
    assert await stores.read(lambda store: store.live_events("", 10)) == []


async def test_an_event_that_the_log_has_forgotten_is_made_up_from_its_entry(stores: Any) -> None:
    await stores.write(lambda store: store.open_log("epoch"))
    await told(stores, enter(make_entry("e")))
    offered = offer(make_entry("e", position=1), make_holder(), 1, 2_000)
    await told(stores, offered)
    await stores.write(lambda store: store.purge(1_000_000, 10))
    assert await stores.read(lambda store: store.events(0, 10)) == []
    event = (await stores.read(lambda store: store.newest_events(["e"])))["e"]
    assert (event.position, event.entry_state, event.attempt, event.phase, event.agent_id, event.event_millis) == (
        2,
        EntryState.OFFERED,
        1,
        AttemptPhase.OFFERED,
        "agent-1",
        2_000,
    )


async def test_a_log_that_is_renewed_keeps_its_events_under_another_epoch(stores: Any) -> None:
    await stores.write(lambda store: store.open_log("epoch"))
    await told(stores, enter(make_entry("e")))
    await stores.write(lambda store: store.renew_log("another"))
    bounds = await stores.read(lambda store: store.log_bounds())
    assert (bounds.epoch, bounds.first, bounds.head) == ("another", 1, 1)
