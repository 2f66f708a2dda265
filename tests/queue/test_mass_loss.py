"""Many agents gone at once: lost work stays, says so, and goes on by itself."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types
from batuta_queue.mass_loss import Pause, judge
from batuta_queue.numbers import Numbers

FAST = types.RetryPolicy(lease_policy=types.LEASE_POLICY_FAST)
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("online", "vanished", "paused"),
    [(0, 3, False), (0, 4, True), (4, 4, True), (5, 4, False), (100, 81, False), (100, 82, True), (0, 0, False)],
)
def test_a_mass_is_more_than_three_and_more_than_forty_five_percent(online: int, vanished: int, paused: bool) -> None:
    assert (judge(online, [1_000] * vanished, Numbers()) is not None) is paused


def test_the_pause_lasts_from_the_first_until_so_many_have_left_the_window_that_the_rest_is_no_mass() -> None:
    assert judge(2, [5_000, 1_000, 4_000, 3_000, 2_000], Numbers()) == Pause(1_000, 2_000 + HOUR)
    assert judge(0, [1_000, 2_000, 3_000, 4_000], Numbers()) == Pause(1_000, 1_000 + HOUR)


def test_without_a_lower_bound_the_last_one_ends_the_pause() -> None:
    assert judge(0, [1_000, 2_000], Numbers(mass_loss_agents=0)) == Pause(1_000, 2_000 + HOUR)


async def working(house: Any, count: int) -> list[Any]:
    """Agents with a task each, under the short lease."""
    made: list[Any] = []
    for number in range(count):
        agent = house.agent(f"agent-{number}")
        await agent.connect()
        await house.running_task(agent, f"e{number}", retry=FAST)
        made.append(agent)
    return made


async def fleet(house: Any) -> agents.GetFleetResponse:
    answer: agents.GetFleetResponse = await house.agents_stub.GetFleet(agents.GetFleetRequest())
    return answer


async def states(house: Any) -> set[str]:
    entries = (await house.stub.ListEntries(queues.ListEntriesRequest(queue_id=house.queue_id))).entries
    return {queues.EntryState.Name(each.state).removeprefix("ENTRY_STATE_") for each in entries}


async def test_work_of_many_that_vanish_together_stays_until_they_come_back(
    house: Any, caplog: pytest.LogCaptureFixture
) -> None:
    several = await working(house, 4)
    with caplog.at_level(logging.WARNING, logger="batuta_queue.mass_loss"):
        for agent in several:
            agent.cut()
        await house.clock.run_for(65)
        assert await states(house) == {"RUNNING"}
        shown = await fleet(house)
        assert (shown.online_count, shown.vanished_count, shown.mass_loss.held_back_count) == (0, 4, 4)
        assert shown.mass_loss.expire_time.seconds - shown.mass_loss.begin_time.seconds == 3600
        # One of them comes back: what it has it keeps, and three are no mass.
        welcome = await several[0].connect()
        assert len(welcome.expected) == 1
        await house.clock.run_for(2)
    assert not (await fleet(house)).HasField("mass_loss")
    assert (await house.story("WAITING", "LOST", entry_id="e1"))[-1][3] == "LEASE_EXPIRED"
    assert len([record for record in caplog.records if "gone at once" in record.getMessage()]) == 1
    assert len([record for record in caplog.records if "given away again" in record.getMessage()]) == 1


async def test_the_pause_ends_by_itself_when_the_window_has_passed(open_house: Any) -> None:
    async with open_house(mass_loss_window=120.0) as house:
        for agent in await working(house, 4):
            agent.cut()
        await house.clock.run_for(115)
        assert await states(house) == {"RUNNING"}
        for _ in range(50):  # the store answers by the real clock
            await house.clock.run_for(2)
            if await states(house) == {"WAITING"}:
                break
        assert await states(house) == {"WAITING"}


async def test_who_says_goodbye_or_is_declared_lost_has_not_vanished(house: Any) -> None:
    several = await working(house, 5)
    for agent in several[:2]:
        await agent.say_goodbye(keep_leases=True)
    for agent in several[2:]:
        agent.cut()
    await house.clock.run_for(17)
    assert (await fleet(house)).vanished_count == 3
    await house.agents_stub.DeclareAgentLost(agents.DeclareAgentLostRequest(agent_id="agent-4"))
    assert (await fleet(house)).vanished_count == 2
    # Proof of death moves work whatever else is held back.
    assert (await house.story("WAITING", "LOST", entry_id="e4"))[-1][3] == "DECLARED_LOST"


async def test_the_pause_outlasts_a_restart_of_the_broker(open_house: Any) -> None:
    async with open_house() as house:
        for agent in await working(house, 4):
            agent.cut()
        await house.clock.run_for(5)
    async with open_house() as house:
        await house.clock.run_for(65)
        assert (await fleet(house)).mass_loss.held_back_count == 4
        assert await states(house) == {"RUNNING"}


async def test_a_restart_of_the_machine_moves_work_in_the_middle_of_a_mass_loss(house: Any) -> None:
    several = await working(house, 5)
    for agent in several:
        agent.cut()
    await house.clock.run_for(65)
    again = house.agent("agent-0", boot_id="boot-2", instance_id="instance-2")
    await again.connect()
    assert (await house.story("WAITING", "LOST", entry_id="e0"))[-1][3] == "HOST_RESTARTED"
