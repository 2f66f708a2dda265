from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest

from batuta_courier.testing import FakeApi
from batuta_proto.tasks import v1 as tasks

if TYPE_CHECKING:
    from tests.sdk.conftest import Scripts

OnlyTask = Callable[[], tasks.Task]
HEAD = "from batuta import Task\ntask = Task.init('digits', 'first')\n"


def finished(api: FakeApi, state: tasks.TaskState) -> tasks.Task:
    api.state.wait_for(lambda: any(task.status.state == state for task in api.state.tasks.values()))
    (task,) = api.state.tasks.values()
    return task


def test_a_script_is_tracked_from_its_beginning_to_its_end(api: FakeApi, scripts: Scripts) -> None:
    scripts.run(
        HEAD
        + "log = task.get_logger()\n"
        + "for at in range(5000): log.report_scalar('loss', 'train', at / 2, at)\n"
        + "print('hello', flush=True)\n"
        + "import sys; print('and this', file=sys.stderr)\n"
        + "log.report_text('said once')\n"
        + "log.report_text('said quietly', print_console=False)\n"
    )
    task = finished(api, tasks.TASK_STATE_COMPLETED)
    api.state.wait_for(lambda: len(api.state.points(task.id)) == 5000)
    assert task.spec.project_name == "digits"
    assert task.display_name == "first"
    assert task.status.exit_code == 0
    log = api.state.log(task.id).decode()
    assert log.endswith("hello\nand this\nsaid once\n")
    api.state.wait_for(
        lambda: any(
            name.endswith(".text") and bytes(data) == b"said quietly\n"
            for name, data in api.state.run(task.id, 1).logs.items()
        )
    )


@pytest.mark.parametrize(
    ("ending", "code", "state", "reason", "message"),
    [
        ("raise ValueError('no data')", 1, "FAILED", "EXCEPTION", "ValueError: no data"),
        ("import sys; sys.exit(3)", 3, "FAILED", "EXIT_CODE", "exit code 3"),
        ("raise SystemExit(4)", 4, "FAILED", "EXIT_CODE", "exit code 4"),
        ("raise SystemExit('words')", 1, "FAILED", "EXIT_CODE", "exit code 1"),
        ("raise SystemExit(0)", 0, "COMPLETED", "", ""),
        ("raise KeyboardInterrupt", -2, "ABORTED", "USER_ABORT", "interrupted by Ctrl-C"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, "FAILED", "KILLED", "is gone"),
        ("import faulthandler; faulthandler._sigsegv()", -11, "FAILED", "KILLED", "exit code is not known"),
        ("import os; os._exit(5)", 5, "FAILED", "KILLED", "exit code is not known"),
    ],
)
def test_however_a_script_ends_its_task_ends_so(
    api: FakeApi, scripts: Scripts, ending: str, code: int, state: str, reason: str, message: str
) -> None:
    scripts.run(HEAD + "task.get_logger().report_scalar('a', 'b', 1.0, 1)\nprint('last words')\n" + ending, code=code)
    task = finished(api, cast("tasks.TaskState", tasks.TaskState.Value(f"TASK_STATE_{state}")))
    assert task.status.reason == reason
    assert message in task.status.message
    api.state.wait_for(lambda: len(api.state.points(task.id)) == 1)
    assert b"last words" in api.state.log(task.id)
    if state == "FAILED" and code > 0 and reason != "KILLED":
        assert task.status.exit_code == code


def test_an_exceptions_traceback_is_in_the_log(api: FakeApi, scripts: Scripts) -> None:
    scripts.run(HEAD + "raise ValueError('no data')\n", code=1)
    task = finished(api, tasks.TASK_STATE_FAILED)
    api.state.wait_for(lambda: b"ValueError: no data" in api.state.log(task.id))
    assert b"Traceback" in api.state.log(task.id)


def test_an_abort_from_outside_interrupts_the_script(api: FakeApi, scripts: Scripts, only_task: OnlyTask) -> None:
    script = scripts.start(HEAD + "import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    assert script.stdout is not None
    while script.stdout.readline() != "ready\n":
        pass
    task = only_task()
    with api.state.changed:
        task.status.state = tasks.TASK_STATE_STOPPING
        api.state.changed.notify_all()
    assert script.wait(20) == -signal.SIGINT
    assert finished(api, tasks.TASK_STATE_ABORTED).status.reason == "USER_ABORT"


def test_forked_children_report_to_the_same_task_and_do_not_end_it(api: FakeApi, scripts: Scripts) -> None:
    scripts.run(
        HEAD
        + "import os, sys\n"
        + "log = task.get_logger()\n"
        + "log.report_scalar('parent', 's', 0, 0)\n"
        + "children = []\n"
        + "for number in range(4):\n"
        + "    pid = os.fork()\n"
        + "    if pid == 0:\n"
        + "        for at in range(1000): log.report_scalar(f'child{number}', 's', at, at)\n"
        + "        print('child', number, flush=True)\n"
        + "        sys.exit(7)\n"
        + "    children.append(pid)\n"
        + "for pid in children: os.waitpid(pid, 0)\n"
        + "log.report_scalar('parent', 's', 1, 1)\n"
    )
    task = finished(api, tasks.TASK_STATE_COMPLETED)
    api.state.wait_for(lambda: len(api.state.points(task.id)) == 4002)
    metrics = [point[0] for point in api.state.points(task.id)]
    assert {metric: metrics.count(metric) for metric in set(metrics)} == {
        "parent": 2, "child0": 1000, "child1": 1000, "child2": 1000, "child3": 1000,
    }  # fmt: skip
    assert sorted(api.state.log(task.id).splitlines()[-4:]) == [b"child %d" % number for number in range(4)]


def test_a_pool_of_workers_reports_to_the_same_task(api: FakeApi, scripts: Scripts) -> None:
    scripts.run(
        "import multiprocessing\n"
        "from batuta import Logger, Task\n"
        "def work(at):\n"
        "    Task.current_task()\n"
        "    Logger.current_logger().report_scalar('pool', 's', at, at)\n"
        "if __name__ == '__main__':\n"
        "    Task.init('p', 'n')\n"
        "    for method in ('fork', 'spawn'):\n"
        "        with multiprocessing.get_context(method).Pool(2) as pool: pool.map(work, range(20))\n"
    )
    task = finished(api, tasks.TASK_STATE_COMPLETED)
    api.state.wait_for(lambda: len(api.state.points(task.id)) == 40)


def test_control_calls_work_in_a_forked_child(api: FakeApi, scripts: Scripts) -> None:
    out = scripts.run(
        HEAD
        + "import os\n"
        + "print(task.get_status())\n"
        + "pid = os.fork()\n"
        + "if pid == 0:\n"
        + "    print('child:', task.get_status(), flush=True)\n"
        + "    os._exit(0)\n"
        + "os.waitpid(pid, 0)\n"
        + "print('parent:', task.get_status())\n"
    )
    assert "child: in_progress" in out
    assert "parent: in_progress" in out


def test_init_twice_is_the_same_task_and_close_ends_it_so_that_another_may_begin(
    api: FakeApi, scripts: Scripts
) -> None:
    out = scripts.run(
        HEAD
        + "assert Task.init('other', 'name').id == task.id == Task.current_task().id\n"
        + "task.get_logger().report_scalar('a', 'b', 1.0, 1)\n"
        + "task.close()\n"
        + "print(Task.get_task(task.id).status)\n"
        + "assert Task.current_task() is None\n"
        + "other = Task.init('digits', 'second')\n"
        + "assert other.id != task.id\n"
    )
    assert "completed" in out
    api.state.wait_for(
        lambda: all(task.status.state == tasks.TASK_STATE_COMPLETED for task in api.state.tasks.values())
    )
    assert [task.display_name for task in api.state.tasks.values()] == ["first", "second"]


def test_what_is_left_of_a_closed_run_disturbs_neither_the_script_nor_the_next_run(
    api: FakeApi, scripts: Scripts
) -> None:
    out = scripts.run(
        HEAD
        + "import argparse\n"
        + "again = Task.init('digits', 'first')\n"
        + "tied = task.connect({'lr': 1})\n"
        + "task.close()\n"
        + "task.close()\n"
        + "tied['lr'] = 2\n"
        + "argparse.ArgumentParser().parse_args([])\n"
        + "second = Task.init('digits', 'second')\n"
        + "again.close()\n"
        + "assert Task.current_task().id == second.id\n"
        + "second.get_logger().report_scalar('a', 'b', 1.0, 1)\n"
    )
    assert "could not be stored" not in out
    api.state.wait_for(lambda: len(api.state.tasks) == 2)
    api.state.wait_for(
        lambda: all(task.status.state == tasks.TASK_STATE_COMPLETED for task in api.state.tasks.values())
    )


def test_a_child_forked_while_a_thread_pushes_parameters_does_not_wait_for_it(api: FakeApi, scripts: Scripts) -> None:
    scripts.run(
        HEAD
        + "import os, signal, threading\n"
        + "from batuta import _runtime\n"
        + "tied = task.connect({'lr': 1})\n"
        + "held, done = threading.Event(), threading.Event()\n"
        + "def push():\n"
        + "    with _runtime.lock, _runtime.process.run.parameters._lock:\n"
        + "        held.set()\n"
        + "        done.wait()\n"
        + "threading.Thread(target=push).start()\n"
        + "held.wait()\n"
        + "pid = os.fork()\n"
        + "if pid == 0:\n"
        + "    signal.alarm(10)\n"
        + "    tied['lr'] = 2\n"
        + "    assert Task.init().id == task.id\n"
        + "    os._exit(0)\n"
        + "assert os.waitpid(pid, 0)[1] == 0\n"
        + "done.set()\n"
    )


def test_a_courier_that_was_killed_is_replaced(api: FakeApi, scripts: Scripts, only_task: OnlyTask) -> None:
    script = scripts.start(
        HEAD
        + "from batuta._runtime import process\n"
        + "print(process.run.keeper._process.pid, flush=True)\n"
        + "input()\n"
        + "print('after', flush=True)\n"
        + "task.get_logger().report_scalar('a', 'b', 1.0, 1)\n"
    )
    assert script.stdout is not None
    script.stdout.readline()
    os.kill(int(script.stdout.readline()), signal.SIGKILL)
    script.communicate("\n")
    task = finished(api, tasks.TASK_STATE_COMPLETED)
    assert b"after" in api.state.log(task.id)
    assert len(api.state.points(task.id)) == 1


def test_ten_thousand_lines_are_all_in_the_log_in_order(api: FakeApi, scripts: Scripts) -> None:
    scripts.run(HEAD + "for at in range(10_000): print('line', at)\n")
    task = finished(api, tasks.TASK_STATE_COMPLETED)
    expected = b"".join(b"line %d\n" % at for at in range(10_000))
    api.state.wait_for(lambda: api.state.log(task.id).endswith(expected))


def test_a_log_handler_made_before_init_is_in_the_log_too(api: FakeApi, scripts: Scripts) -> None:
    scripts.run(
        "import logging, sys\nlogging.basicConfig(level=logging.INFO)\n"
        + HEAD
        + "logging.info('by a handler')\nsys.stdout.buffer.write(b'by the buffer\\n')\n"
    )
    task = finished(api, tasks.TASK_STATE_COMPLETED)
    assert b"by a handler" in api.state.log(task.id)
    assert b"by the buffer" in api.state.log(task.id)


def test_the_end_of_a_script_is_not_held_up(api: FakeApi, scripts: Scripts) -> None:
    out = scripts.run(
        "import atexit, time\n"
        "atexit.register(lambda: print('exit took', time.perf_counter() - began))\n"
        + HEAD
        + "for at in range(100): task.get_logger().report_scalar('a', 'b', 1.0, at)\n"
        + "began = time.perf_counter()\n"
    )
    assert float(out.rpartition("exit took")[2].split()[0]) < 2.0  # `make bench` measures


def test_what_init_takes_and_does_not_use_is_named_once(scripts: Scripts) -> None:
    out = scripts.run(
        "from batuta import Task\n"
        "for _ in range(2): Task.init('p', 'n', output_uri='s3://x', auto_connect_frameworks=False)\n"
    )
    assert out.count("does not use yet: output_uri, auto_connect_frameworks") == 1


def test_a_wrong_task_type_is_one_clear_error(scripts: Scripts) -> None:
    out = scripts.run("from batuta import Task\nTask.init('p', 'n', task_type='trainin')\n", code=1)
    assert "it is one of training, testing" in out


def test_a_wrong_credential_is_one_clear_error(api: FakeApi, scripts: Scripts) -> None:
    config = scripts.home / ".batuta" / "batuta.conf"
    config.write_text(config.read_text().replace("SK", "wrong"))
    out = scripts.run(HEAD, code=1)
    assert f"{api.address} refused the credential" in out
    assert out.count("Traceback") == 1
    assert "batuta init" in out


def test_a_server_that_does_not_answer_is_one_clear_error_that_names_it(api: FakeApi, scripts: Scripts) -> None:
    api.stop()
    began = time.monotonic()
    out = scripts.run(HEAD, code=1)
    assert f"{api.address} does not answer" in out
    assert out.count("Traceback") == 1
    assert "BATUTA_OFFLINE_MODE=1" in out
    assert time.monotonic() - began < 30
