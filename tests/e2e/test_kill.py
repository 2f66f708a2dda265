"""kill -9 of each part while a task runs: nothing lost, nothing doubled."""

from __future__ import annotations

import signal
from typing import Any

import psutil

from batuta_proto.tasks import v1 as tasks
from tests.e2e.harness.payloads import ONCE, Ledger
from tests.e2e.harness.person import task_id
from tests.e2e.harness.processes import poll
from tests.e2e.harness.remote import SDK, Remote

LINES = 200
RUN = f"""
from batuta import Task
logger = Task.init("e2e", "kill").get_logger()
for n in range({LINES}):
    if n == {LINES // 2}:
        print("half", flush=True)
        wait()
    logger.report_scalar("loss", "train", float(n), n)
    print("line", n, flush=True)
"""


def begin(remote: Remote, ledger: Ledger) -> str:
    """A task that has written half of what it will write, and waits."""
    identity = remote.submit(ONCE + RUN, "kill", requirements=[SDK])
    remote.wait(identity, [tasks.TASK_STATE_RUNNING])
    poll("half of the log is there", 90, lambda: b"half\n" in remote.log(identity))
    assert len(ledger.runs(identity)) == 1
    return identity


def check(remote: Remote, ledger: Ledger, identity: str) -> None:
    """The task ends well, ran once, and everything is there once."""
    task = remote.wait(identity)
    assert task.status.state == tasks.TASK_STATE_COMPLETED
    assert task.status.attempt == 1
    assert len(ledger.runs(identity)) == 1
    lines = [line for line in remote.log(identity, "console").decode().splitlines() if line.startswith("line ")]
    assert lines == [f"line {n}" for n in range(LINES)]
    assert remote.points(identity)["loss", "train"] == [(n, float(n)) for n in range(LINES)]


def test_the_queue_service_dies_while_a_task_runs(deploy: Any) -> None:
    stack = deploy.services()
    stack.agent(name="a")
    remote, ledger = stack.remote(), Ledger(stack.ledger)
    identity = begin(remote, ledger)
    stack.queue_process.kill9()
    ledger.go(identity)  # the run ends while nobody can be told
    poll("the run has ended", 30, lambda: not psutil.pid_exists(ledger.pid(identity)))
    stack.start_queue()
    check(remote, ledger, identity)
    other = remote.submit(ONCE, "after")
    assert remote.wait(other).status.state == tasks.TASK_STATE_COMPLETED


def test_the_api_dies_while_a_task_runs(deploy: Any) -> None:
    stack = deploy.services()
    stack.agent(name="a")
    remote, ledger = stack.remote(), Ledger(stack.ledger)
    identity = begin(remote, ledger)
    stack.api_process.kill9()
    ledger.go(identity)
    poll("the run has ended", 30, lambda: not psutil.pid_exists(ledger.pid(identity)))
    stack.start_api()
    stack.ready()
    check(remote, ledger, identity)


def test_a_task_that_was_queued_before_the_queue_service_died_runs_once(deploy: Any) -> None:
    stack = deploy.services()
    remote, ledger = stack.remote(), Ledger(stack.ledger)
    first = remote.submit(ONCE, "before")
    stack.queue_process.kill9()
    draft = remote.create(ONCE, "meanwhile")
    stack.start_queue()
    stack.ready()
    second = remote.enqueue(draft)
    stack.agent(name="a")
    for identity in (first, second):
        assert remote.wait(identity).status.state == tasks.TASK_STATE_COMPLETED
        assert len(ledger.runs(identity)) == 1


def test_the_agent_dies_while_a_task_runs(deploy: Any) -> None:
    stack = deploy.services()
    agent = stack.agent(name="a")
    remote, ledger = stack.remote(), Ledger(stack.ledger)
    identity = begin(remote, ledger)
    agent.kill9()
    assert psutil.pid_exists(ledger.pid(identity))
    ledger.go(identity)
    poll("the run has ended", 30, lambda: not psutil.pid_exists(ledger.pid(identity)))
    stack.agent(name="a")
    check(remote, ledger, identity)


def test_an_agent_that_is_stopped_leaves_its_task_running_and_takes_it_up_again(deploy: Any) -> None:
    stack = deploy.services()
    agent = stack.agent(name="a")
    remote, ledger = stack.remote(), Ledger(stack.ledger)
    identity = begin(remote, ledger)
    agent.stop()
    assert psutil.pid_exists(ledger.pid(identity))
    stack.agent(name="a")
    remote.online("a")
    ledger.go(identity)
    check(remote, ledger, identity)


def test_batuta_up_dies_and_is_whole_again(deploy: Any) -> None:
    stack = deploy.up()
    remote, ledger = stack.remote(), Ledger(stack.ledger)
    identity = begin(remote, ledger)
    waiting = remote.submit(ONCE, "waits")
    stack.up.kill9()
    ledger.go(identity)
    stack.start_up()
    check(remote, ledger, identity)
    assert remote.wait(waiting).status.state == tasks.TASK_STATE_COMPLETED
    assert len(ledger.runs(waiting)) == 1
    stack.up.send(signal.SIGINT)
    assert stack.up.wait(30) == 0, stack.up.said


def test_a_local_script_that_is_killed_loses_nothing_and_its_task_fails(deploy: Any) -> None:
    stack = deploy.services()
    remote, person = stack.remote(), stack.person()
    script = person.write(
        "killed.py",
        f"""
        import time
        from batuta import Task
        task = Task.init("e2e", "killed")
        print(task.id, flush=True)
        for n in range({LINES}):
            task.get_logger().report_scalar("loss", "train", float(n), n)
            print("line", n, flush=True)
        print("end", flush=True)
        time.sleep(600)
        """,
    )
    running = person.start(script)
    stack.processes.append(running)
    poll("it has written all", 30, lambda: "end\n" in running.said)
    running.kill9()
    task = remote.wait(task_id(running.said), seconds=60)
    assert task.status.state == tasks.TASK_STATE_FAILED
    assert task.status.reason == "KILLED"
    assert "exit code is not known" in task.status.message
    log = remote.log(task.id, "console").decode()
    assert [line for line in log.splitlines() if line.startswith("line ")] == [f"line {n}" for n in range(LINES)]
    assert remote.points(task.id)["loss", "train"] == [(n, float(n)) for n in range(LINES)]


def test_a_local_script_outlives_the_api_and_everything_arrives(deploy: Any) -> None:
    stack = deploy.services()
    remote, person = stack.remote(), stack.person()
    script = person.write(
        "outlives.py",
        f"""
        import os
        import time
        from batuta import Task
        task = Task.init("e2e", "outlives")
        print(task.id, flush=True)
        for n in range({LINES}):
            if n == {LINES // 2}:
                print("half", flush=True)
                while not os.path.exists("go"):
                    time.sleep(0.02)
            task.get_logger().report_scalar("loss", "train", float(n), n)
            print("line", n, flush=True)
        """,
    )
    running = person.start(script)
    stack.processes.append(running)
    poll("it has written half", 30, lambda: "half\n" in running.said)
    identity = task_id(running.said)
    stack.api_process.kill9()
    (person.folder / "go").touch()
    assert running.wait(30) == 0  # a server that is gone costs the script nothing
    stack.start_api()
    stack.ready()
    task = remote.wait(identity, seconds=60)
    assert task.status.state == tasks.TASK_STATE_COMPLETED
    log = remote.log(identity, "console").decode()
    assert [line for line in log.splitlines() if line.startswith("line ")] == [f"line {n}" for n in range(LINES)]
    assert remote.points(identity)["loss", "train"] == [(n, float(n)) for n in range(LINES)]
