"""Agents as operators see them."""

from __future__ import annotations

from typing import Any

import pytest

from batuta_proto.agents import v1 as agents
from batuta_proto.types import v1 as types
from batuta_rpc.errors import AgentNotFound


async def test_an_agent_is_shown_with_what_it_said_and_does(house: Any) -> None:
    agent = house.agent(max_assignments=2)
    gpu = types.Gpu(uuid="GPU-1", index=0, display_name="NVIDIA H200", memory_bytes=1 << 37, driver_version="550")
    await agent.connect(
        labels={"rack": "7"}, gpus=[gpu], capacity=types.Resources(cpus=8, memory_bytes=1 << 34, gpus=1)
    )
    await house.running_task(agent)
    sample = agents.TelemetrySample(time_unix_millis=5, host=agents.HostSample(cpu_percent=12.5))
    await agent.send(agents.SessionRequest(telemetry=agents.Telemetry(sample=sample)))
    await agent.beat()
    shown = await house.listed("agent-1")
    assert shown.state == agents.AGENT_STATE_ONLINE
    assert list(shown.queue_names) == ["default"]
    assert dict(shown.labels) == {"rack": "7"}
    assert list(shown.gpus) == [gpu]
    assert shown.telemetry == sample
    assert shown.assignments[0].HasField("accept_time")
    assert shown.host == "host-of-agent-1"


async def test_an_agent_that_left_is_still_listed(open_house: Any) -> None:
    async with open_house() as house:
        for number in range(3):
            await house.agent(f"agent-{number}").connect()
    async with open_house() as house:
        first = await house.agents_stub.ListAgents(agents.ListAgentsRequest(page_size=2))
        rest = await house.agents_stub.ListAgents(
            agents.ListAgentsRequest(page_size=2, page_token=first.next_page_token)
        )
        shown = [*first.agents, *rest.agents]
        assert [agent.id for agent in shown] == ["agent-0", "agent-1", "agent-2"]
        assert {agent.state for agent in shown} == {agents.AGENT_STATE_OFFLINE}


async def test_an_unknown_agent_is_not_found(house: Any) -> None:
    with pytest.raises(AgentNotFound):
        await house.listed("nobody")


async def test_the_time_of_the_last_heartbeat_is_shown_at_once_and_stored_once_a_minute(open_house: Any) -> None:
    async with open_house() as house:
        agent = house.agent()
        await agent.connect()
        start = (await house.listed("agent-1")).last_heartbeat_time.ToMilliseconds()
        await house.clock.run_for(10)
        await agent.beat()
        assert (await house.listed("agent-1")).last_heartbeat_time.ToMilliseconds() == start + 10_000
    async with open_house() as house:
        assert (await house.listed("agent-1")).last_heartbeat_time.ToMilliseconds() == start + 10_000
