"""An agent that is to leave: its work goes on elsewhere, and nobody calls that an abort."""

from __future__ import annotations

import time

from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from tests.e2e.harness.payloads import ONCE, Ledger
from tests.e2e.harness.processes import poll
from tests.e2e.harness.remote import Remote
from tests.e2e.harness.stack import Services

QUEUE = "with agents that leave"


def drain(remote: Remote, agent_id: str, seconds: float) -> None:
    request = agents.DrainAgentRequest(agent_id=agent_id, reason="new disks")
    request.deadline.FromMilliseconds(round((time.time() + seconds) * 1000))
    remote.agents.DrainAgent(request)


def test_what_a_drained_agent_runs_at_its_deadline_is_run_elsewhere_once_and_completes(
    services: Services, remote: Remote, ledger: Ledger
) -> None:
    first = services.agent(QUEUE, name="leaves")
    task_id = remote.submit(ONCE + "wait()\n", "moves", queue=QUEUE)
    remote.wait(task_id, [tasks.TASK_STATE_RUNNING])
    poll("the first run has begun", 60, lambda: len(ledger.runs(task_id)) == 1)
    drain(remote, "leaves", 2)
    remote.wait(task_id, [tasks.TASK_STATE_QUEUED], seconds=60)
    queue = remote.queues.GetQueue(queues.GetQueueRequest(display_name=QUEUE)).queue
    (entry,) = remote.queues.ListEntries(queues.ListEntriesRequest(queue_id=queue.id)).entries
    assert (entry.state, entry.preemptions) == (queues.ENTRY_STATE_WAITING, 1)
    assert (entry.infrastructure_losses, entry.failures) == (0, 0)
    second = services.agent(QUEUE, name="stays")
    poll("the second run has begun", 60, lambda: len(ledger.runs(task_id)) == 2)
    ledger.go(task_id)
    task = remote.wait(task_id)
    assert (task.status.state, task.status.attempt, task.status.agent_id) == (tasks.TASK_STATE_COMPLETED, 2, "stays")
    assert not [line for line in ledger.runs(task_id) if "overlap" in line]
    first.stop()
    second.stop()
