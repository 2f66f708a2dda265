"""The connection to PostgreSQL breaks during a commit: what the broker has in memory is what the rows say, soon."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path

import pytest

from batuta_chassis.testing import Exchange, running
from batuta_proto.queues import v1 as queues
from batuta_proto.types import v1 as types
from batuta_queue.__main__ import build
from batuta_rpc.testing import FakeClock
from tests.chaos.proxy import Proxy
from tools.postgres import Postgres

from .conftest import House


@pytest.fixture
def proxy(postgres_server: Postgres) -> Iterator[Proxy]:
    made = Proxy(postgres_server.port)
    yield made
    made.close()


@pytest.fixture
async def house(tmp_path: Path, new_database: Callable[[], str], proxy: Proxy) -> AsyncGenerator[House]:
    """A queue service behind the proxy, whose clock only the test moves."""
    clock = FakeClock()
    url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{new_database().rpartition('/')[2]}"
    async with running(
        lambda settings, time, ids: build(settings, time, ids, bus=Exchange().bus()),
        tmp_path,
        service="queue",
        clock=clock,
        database_url=url,
    ) as service:
        made = House(service, clock)
        found = await made.stub.GetQueue(queues.GetQueueRequest(display_name="default"))
        made.queue_id = found.queue.id
        try:
            yield made
        finally:
            await made.close()


@pytest.mark.parametrize("arrives", [True, False], ids=["stored", "not stored"])
async def test_an_offer_whose_commit_is_in_doubt_is_made_at_once_to_the_agent_that_waits(
    house: House, proxy: Proxy, arrives: bool
) -> None:
    agent = house.agent()
    await agent.connect()
    proxy.break_at(b"COMMIT\0", arrives=arrives)
    # The client hears of a fault that passes, and repeats the call.
    await house.submit("e1")
    assert proxy.broke
    # No time passes: the agent would be given ten seconds to answer an offer that it has never seen.
    assignment = await agent.next("assignment")
    assert assignment.ref.attempt == (2 if arrives else 1)
    await agent.accept(assignment)
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_SUCCEEDED)
    await house.submit("e2")
    await agent.accept(await agent.next("assignment"))


@pytest.mark.parametrize("arrives", [True, False], ids=["stored", "not stored"])
async def test_a_withdrawal_whose_commit_is_in_doubt_reaches_the_agent(
    house: House, proxy: Proxy, arrives: bool
) -> None:
    agent = house.agent()
    await agent.connect()
    await house.running_task(agent)
    proxy.break_at(b"COMMIT\0", arrives=arrives)
    await house.withdraw("e1")
    assert proxy.broke
    await agent.next("cancel")
