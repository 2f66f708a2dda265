"""Everything over TLS, and agents that show who they are: from nothing to tasks that have run."""

from __future__ import annotations

import re

from batuta_proto.tasks import v1 as tasks
from tests.e2e.conftest import Deployments
from tests.e2e.harness.person import task_id
from tests.e2e.harness.processes import python

SCRIPT = """
import sys
from batuta import Task

task = Task.init(project_name="e2e", task_name="over tls")
print("task", task.id, flush=True)
task.get_logger().report_scalar("loss", "train", 0.5, 0)
task.execute_remotely(sys.argv[-1])  # over there it returns at once
task.get_logger().report_scalar("loss", "train", 0.25, 1)
print("ran over there", flush=True)
"""


def test_up_with_tls_runs_tasks_on_its_own_agent_and_on_one_that_joins_by_token_and_fingerprint(
    deploy: Deployments,
) -> None:
    stack = deploy.up("--tls", "--agent-certificates")
    said = re.search(r"authority +(sha256:[0-9a-f]{64})", stack.up.said)
    assert said is not None, stack.up.said
    person = stack.person()
    made = person.batuta("agent", "join-token")
    assert f"--ca-fingerprint {said[1]}`" in made.stderr
    joining = ["--queue", "far", "--create-queue", "--join-token", made.stdout.strip(), "--ca-fingerprint", said[1]]
    words = ["agent", "start", "--name", "joined", "--api", stack.api, "--data", str(stack.folder / "joined")]
    agent = stack.start("joined", python("-m", "batuta", *words, *joining))
    remote = stack.remote()
    remote.online("joined")
    script = person.write("train.py", SCRIPT)
    for queue in ("default", "far"):
        ran = person.run(script, queue)
        assert ran.returncode == 0, ran.stderr
        task = remote.wait(task_id(ran.stdout))
        assert task.status.state == tasks.TASK_STATE_COMPLETED, remote.log_tail(task.id)
        assert b"ran over there" in remote.log(task.id)
        assert remote.points(task.id) == {("loss", "train"): [(0, 0.5), (1, 0.5), (2, 0.25)]}
    assert (task.status.agent_id, agent.running) == ("joined", True)
    plain = person.batuta("init", "--api", stack.api.replace("https", "http"), "--access-key", "K", "--secret-key", "S")
    assert "it may speak TLS, then dial it with https://" in plain.stderr
