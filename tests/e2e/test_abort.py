"""Stopping a task."""

from __future__ import annotations

import psutil
import pytest

from batuta_proto.tasks import v1 as tasks
from tests.e2e.harness.payloads import ONCE, Ledger
from tests.e2e.harness.processes import poll
from tests.e2e.harness.remote import Remote
from tests.e2e.harness.stack import Services

TREE = """
import subprocess, signal
child = (
    "import signal, time\\nfor n in (signal.SIGINT, signal.SIGTERM): signal.signal(n, signal.SIG_IGN)\\ntime.sleep(600)"
)
daemon = "import os, sys, time\\nif os.fork(): sys.exit()\\nos.setsid()\\nif os.fork(): sys.exit()\\n" + child
quiet = {"stdin": subprocess.DEVNULL}
subprocess.Popen([sys.executable, "-c", child], **quiet)
subprocess.Popen([sys.executable, "-c", child], start_new_session=True, **quiet)
subprocess.Popen([sys.executable, "-c", daemon], **quiet).wait()
print("tree is up", flush=True)
try:
    wait()
except KeyboardInterrupt:
    print("interrupted", flush=True)
    raise
"""


def living(task_id: str) -> list[int]:
    found: list[int] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("BATUTA_TASK_ID") == task_id and "sleep(600)" in " ".join(process.cmdline()):
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.mark.usefixtures("shared")
def test_abort_ends_the_whole_process_tree(remote: Remote, ledger: Ledger) -> None:
    task_id = remote.submit(ONCE + TREE, "tree")
    remote.wait(task_id, [tasks.TASK_STATE_RUNNING])
    poll("the tree is up", 60, lambda: b"tree is up" in remote.log(task_id))
    poll("three stubborn processes", 10, lambda: len(living(task_id)) == 3)
    answer = remote.tasks.AbortTask(tasks.AbortTaskRequest(task_id=task_id, message="wrong data"))
    assert answer.task.status.state in (tasks.TASK_STATE_STOPPING, tasks.TASK_STATE_ABORTED)
    task = remote.wait(task_id, seconds=60)
    assert task.status.state == tasks.TASK_STATE_ABORTED
    assert living(task_id) == []
    assert not psutil.pid_exists(ledger.pid(task_id))
    assert b"interrupted\n" in remote.log(task_id)


def test_aborting_what_waits_is_at_once_and_it_never_runs(services: Services, remote: Remote, ledger: Ledger) -> None:
    task_id = remote.submit(ONCE, "waits", queue="aborted while waiting")
    answer = remote.tasks.AbortTask(tasks.AbortTaskRequest(task_id=task_id))
    assert answer.task.status.state == tasks.TASK_STATE_ABORTED
    after = remote.submit(ONCE, "after", queue="aborted while waiting")
    agent = services.agent("aborted while waiting")
    assert remote.wait(after).status.state == tasks.TASK_STATE_COMPLETED
    agent.stop()
    assert ledger.runs(task_id) == []
    assert remote.get(task_id).status.state == tasks.TASK_STATE_ABORTED


@pytest.mark.usefixtures("shared")
def test_a_local_run_is_stopped_by_its_courier(services: Services, remote: Remote) -> None:
    person = services.person("stopped")
    script = person.write(
        "forever.py",
        """
        import time
        from batuta import Task
        task = Task.init(project_name="e2e", task_name="forever")
        print(task.id, flush=True)
        time.sleep(600)
        """,
    )
    running = person.start(script)
    services.processes.append(running)
    listed = poll("the task is there", 30, lambda: find(remote, "forever"))
    remote.tasks.AbortTask(tasks.AbortTaskRequest(task_id=listed.id))
    assert running.wait(30) != 0
    assert remote.wait(listed.id, seconds=30).status.state == tasks.TASK_STATE_ABORTED


def find(remote: Remote, name: str) -> tasks.Task | None:
    wanted = tasks.ListTasksRequest.Filter(display_name=name, states=[tasks.TASK_STATE_RUNNING])
    answer = remote.tasks.ListTasks(tasks.ListTasksRequest(filter=wanted))
    return answer.tasks[0] if answer.tasks else None
