"""F27: a machine that its cloud has taken back without notice."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import psutil
import pytest

from batuta_proto.agents import v1 as agents
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.errors import AgentOnline
from tests.chaos.counting import Tally
from tests.chaos.world import World
from tests.e2e.harness.processes import marked, poll
from tests.e2e.harness.remote import Remote

MOVED_WITHIN = 30.0


@pytest.mark.nightly
@pytest.mark.timeout(300)
def test_f27_what_ran_on_a_machine_that_its_cloud_took_back_is_run_elsewhere_within_30_s(
    open_world: Callable[..., World], tally: Tally
) -> None:
    world = open_world()
    remote = world.remote()
    spot = world.agent(name="spot")
    identity = world.submit(remote, "task", "time.sleep(100 if os.environ['BATUTA_ATTEMPT'] == '1' else 1)\n")
    poll("it runs", 60, lambda: remote.get(identity).status.state == tasks.TASK_STATE_RUNNING)
    world.keep_agent("b")
    remote.online("b")
    # Nobody closes the connections of a machine that is gone: the agent falls silent, and all that ran there is dead.
    spot.send(signal.SIGSTOP)
    taken = time.monotonic()
    for each in _runs_of(world, "spot", spot.pid):
        each.kill()
    poll("the cloud's word is taken", MOVED_WITHIN, lambda: _declare_lost(remote, "spot"))
    left = MOVED_WITHIN - (time.monotonic() - taken)
    poll("another agent has it", left, lambda: remote.get(identity).status.agent_id == "b")
    ended = world.until_ended(remote, [identity])[identity].status
    assert (ended.state, ended.attempt, ended.agent_id) == (tasks.TASK_STATE_COMPLETED, 2, "b")
    tally.judge("a machine taken back", world.judged())


def _declare_lost(remote: Remote, agent_id: str) -> bool:
    """What somebody says who has it from the cloud. False: the broker still takes the agent for online."""
    try:
        request = agents.DeclareAgentLostRequest(agent_id=agent_id, reason="taken back by the cloud", explained=True)
        remote.agents.DeclareAgentLost(request)
    except AgentOnline:
        return False
    return True


def _runs_of(world: World, name: str, agent_pid: int) -> list[psutil.Process]:
    """The shims of an agent, and what they run."""
    folder = str(world.folder / "agents" / name)
    found = [each for each in marked(world.mark, world.folder) if each.pid != agent_pid]
    return [each for each in found if folder in " ".join([*each.cmdline(), each.cwd(), *each.environ().values()])]
