"""Queues and the agents that serve them."""

from __future__ import annotations

from batuta_proto.tasks import v1 as tasks
from tests.e2e.harness.payloads import ONCE, Ledger
from tests.e2e.harness.processes import poll
from tests.e2e.harness.remote import Remote
from tests.e2e.harness.stack import Services

RENDEZVOUS = """
import pathlib
here = pathlib.Path(os.environ["E2E_LEDGER"])
name = sys.argv[0]
end = time.monotonic() + 60
(here / ("meet." + os.environ["BATUTA_TASK_ID"])).touch()
while len(list(here.glob("meet.*"))) < 2:
    if time.monotonic() > end:
        sys.exit("nobody came")
    time.sleep(0.02)
"""


def test_two_agents_share_a_queue_and_no_task_runs_twice(services: Services, remote: Remote, ledger: Ledger) -> None:
    agents = [services.agent("shared work", name=f"sharing-{n}") for n in range(2)]
    remote.online("sharing-0", "sharing-1")
    # The first two wait for each other: they end only when both agents work at the same time.
    ids = [remote.submit(ONCE + RENDEZVOUS, f"share {n}", queue="shared work") for n in range(2)]
    ids += [remote.submit(ONCE, f"share {n}", queue="shared work") for n in range(2, 10)]
    ended = [remote.wait(task_id) for task_id in ids]
    assert {task.status.state for task in ended} == {tasks.TASK_STATE_COMPLETED}
    assert {task.status.agent_id for task in ended} == {"sharing-0", "sharing-1"}
    assert all(len(ledger.runs(task_id)) == 1 for task_id in ids)
    for agent in agents:
        agent.stop()


def test_a_queue_waits_for_its_first_agent_and_keeps_its_order(
    services: Services, remote: Remote, ledger: Ledger
) -> None:
    ids = [remote.submit(ONCE, f"early {n}", queue="große Karten 猫") for n in range(3)]
    assert all(remote.get(task_id).status.state == tasks.TASK_STATE_QUEUED for task_id in ids)
    agent = services.agent("große Karten 猫", name="first")
    ended = [remote.wait(task_id) for task_id in ids]
    assert {task.status.state for task in ended} == {tasks.TASK_STATE_COMPLETED}
    starts = [float(ledger.runs(task_id)[0].split()[1]) for task_id in ids]
    assert starts == sorted(starts)
    agent.stop()


def test_an_agent_on_an_unknown_queue_lists_the_queues_and_create_queue_makes_it(
    services: Services, remote: Remote
) -> None:
    agent = services.agent("nobody made this", name="hopeful", create_queue=False)
    assert agent.wait(30) != 0
    assert "nobody made this" in agent.said
    assert "default" in agent.said
    assert "--create-queue" in agent.said
    assert "Traceback" not in agent.said
    agent = services.agent("nobody made this", name="hopeful")
    remote.online("hopeful")
    agent.stop()


def test_an_agent_joins_with_a_join_token_once(services: Services, remote: Remote) -> None:
    from batuta_proto.users import v1 as users

    stub = users.UserServiceStub(remote.channel)
    token = stub.CreateJoinToken(users.CreateJoinTokenRequest()).join_token
    joined = services.start_agent("joined", ["--queue", "default", "--join-token", token])
    remote.online("joined")
    joined.stop()
    again = services.start_agent("again", ["--queue", "default", "--join-token", token])
    assert again.wait(30) != 0
    assert "join token" in again.said.lower()
    # The one that joined has a credential of its own now.
    joined = services.start_agent("joined", ["--queue", "default"])
    poll("joined is back", 30, lambda: joined.running and "joined" in joined.said)
    remote.online("joined")
    joined.stop()
