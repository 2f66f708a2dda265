"""How tasks end: each ends once, in the right state, with one clear message, and with all that it printed."""

from __future__ import annotations

import hashlib
import signal
from typing import Any

import pytest

from batuta_proto.tasks import v1 as tasks
from tests.e2e.harness.payloads import ONCE, Ledger
from tests.e2e.harness.remote import SDK, Remote

pytestmark = pytest.mark.usefixtures("shared")


def finish(remote: Remote, name: str, script: str, **more: Any) -> tasks.Task:
    return remote.wait(remote.submit(script, name, **more))


def test_a_script_that_ends_well_is_completed_once_with_its_output(remote: Remote, ledger: Ledger) -> None:
    task = finish(remote, "well", ONCE + "print('hello'); print('oops', file=sys.stderr)")
    assert task.status.state == tasks.TASK_STATE_COMPLETED
    assert task.status.exit_code == 0
    assert task.status.agent_id == "shared"
    assert task.status.attempt == 1
    assert not task.status.attempt_open
    assert remote.log(task.id).endswith(b"hello\noops\n")
    assert len(ledger.runs(task.id)) == 1
    assert task.create_time.ToDatetime() <= task.status.enqueue_time.ToDatetime()
    assert task.status.start_time.ToDatetime() <= task.status.end_time.ToDatetime()


def test_an_exception_is_failed_and_told_in_the_message(remote: Remote) -> None:
    task = finish(remote, "raises", "raise ValueError('the data is upside down')")
    assert task.status.state == tasks.TASK_STATE_FAILED
    assert task.status.reason == "EXIT_CODE"
    assert task.status.exit_code == 1
    assert "ValueError: the data is upside down" in task.status.message
    assert b"Traceback (most recent call last)" in remote.log(task.id)


def test_exit_3_is_failed_with_its_code(remote: Remote) -> None:
    task = finish(remote, "exit 3", "import sys; print('before'); sys.exit(3)")
    assert task.status.state == tasks.TASK_STATE_FAILED
    assert (task.status.reason, task.status.exit_code) == ("EXIT_CODE", 3)
    assert "exit code 3" in task.status.message
    assert remote.log(task.id).endswith(b"before\n")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_crash_is_failed_with_its_signal(remote: Remote, number: signal.Signals) -> None:
    script = f"import os, signal; print('before', flush=True); os.kill(os.getpid(), signal.{number.name})"
    task = finish(remote, number.name, script)
    assert task.status.state == tasks.TASK_STATE_FAILED
    assert (task.status.reason, task.status.signal) == ("SIGNAL", number)
    assert number.name in task.status.message
    assert remote.log(task.id).endswith(b"before\n")


def test_a_package_that_does_not_exist_is_failed_and_named(remote: Remote) -> None:
    package = "batuta-there-is-no-such-package"
    task = finish(remote, "no package", "print('never')", requirements=[f"{package}==1.0"])
    assert task.status.state == tasks.TASK_STATE_FAILED
    assert task.status.reason == "ENVIRONMENT"
    assert package in task.status.message
    assert b"never" not in remote.log(task.id)


def test_a_million_lines_arrive_whole_and_in_order(remote: Remote) -> None:
    script = """
import sys
for start in range(0, 1_000_000, 1000):
    sys.stdout.write("".join("line %d of a very chatty training script\\n" % n for n in range(start, start + 1000)))
"""
    task = finish(remote, "chatty", script)
    assert task.status.state == tasks.TASK_STATE_COMPLETED
    expected = "".join(f"line {n} of a very chatty training script\n" for n in range(1_000_000)).encode()
    got = remote.log(task.id)
    got = got[got.index(b"line 0 ") :]
    assert len(got) == len(expected)
    assert hashlib.sha256(got).hexdigest() == hashlib.sha256(expected).hexdigest()


def test_scalars_and_text_of_a_run_arrive_once(remote: Remote) -> None:
    script = """
from batuta import Task
task = Task.init(project_name="ignored on an agent", task_name="too")
logger = task.get_logger()
for n in range(10_000):
    logger.report_scalar("loss", "train", 1.0 / (n + 1), n)
logger.report_text("a remark")
print("done")
"""
    task = finish(remote, "scalars", script, requirements=[SDK])
    assert task.status.state == tasks.TASK_STATE_COMPLETED, remote.log_tail(task.id)
    assert task.display_name == "scalars"
    points = remote.points(task.id)[("loss", "train")]
    assert points == [(n, 1.0 / (n + 1)) for n in range(10_000)]
    assert task.status.last_iteration == 9_999
    log = remote.log(task.id)
    assert log.count(b"a remark") == 1
    assert b"done\n" in log
