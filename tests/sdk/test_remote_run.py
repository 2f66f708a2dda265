from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batuta_courier import layout
from batuta_courier.scalars_reader import ScalarReader
from batuta_courier.testing import FakeApi
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types

if TYPE_CHECKING:
    from tests.sdk.conftest import Scripts

RemoteEnv = Callable[..., "dict[str, str]"]
OnlyTask = Callable[[], tasks.Task]


def task_with(api: FakeApi, **values: tuple[str, str]) -> tasks.Task:
    """A task on an agent whose parameters are `section__name=(value, TYPE)`."""
    task = api.state.add_task("t", local=False)
    for full, (value, kind) in values.items():
        section, name = full.split("__", 1)
        task.spec.parameters.add(
            section=section,
            name=name.replace("__", "/"),
            value=value,
            type=types.ParameterType.Value(f"PARAMETER_TYPE_{kind}"),
        )
    return task


def spooled(env: dict[str, str]) -> list[tuple[str, int]]:
    """(metric, iteration) of all that is in the spool."""
    found: list[tuple[str, int]] = []
    for folder in layout.producers(Path(env["BATUTA_SPOOL_DIR"])):
        batch = ScalarReader(folder).read(0, 10_000)
        for column in batch.columns if batch else ():
            found += [(column.metric, iteration) for iteration in column.iterations]
    return sorted(found)


def test_execute_remotely_in_the_middle_of_a_script_queues_the_task_and_ends_the_process(
    api: FakeApi, scripts: Scripts, only_task: OnlyTask
) -> None:
    out = scripts.run(
        "import atexit; atexit.register(lambda: print('never'))\n"
        "from batuta import Task\n"
        "task = Task.init('p', 'n')\n"
        "conf = task.connect({'lr': 0.1})\n"
        "for epoch in range(3):\n"
        "    task.get_logger().report_scalar('loss', 'train', 1.0, epoch)\n"
        "    print('epoch', epoch)\n"
        "    conf['lr'] = 0.2\n"
        "    task.execute_remotely('default')\n"
        "print('never')\n"
    )
    assert "never" not in out
    assert "epoch 1" not in out
    assert "Switching to remote execution" in out
    assert "batuta task logs -f" in out
    assert "Terminating local execution process - continuing execution remotely" in out
    task = only_task()
    assert task.status.state == tasks.TASK_STATE_QUEUED
    assert task.status.queue_name == "default"
    assert [point[2] for point in api.state.points(task.id)] == [0]
    assert api.state.log(task.id).endswith(b"epoch 0\n")
    assert [(each.section, each.name, each.value) for each in task.spec.parameters] == [("General", "lr", "0.2")]
    root = scripts.home / ".batuta" / "spool"
    api.state.wait_for(lambda: True)
    for _ in range(200):
        if not list(root.iterdir()):
            break
        __import__("time").sleep(0.02)
    assert not list(root.iterdir())
    assert "FinishTask" not in api.state.calls


def test_execute_remotely_without_a_queue_leaves_a_draft(api: FakeApi, scripts: Scripts, only_task: OnlyTask) -> None:
    out = scripts.run("from batuta import Task\nTask.init('p', 'n').execute_remotely()\nprint('never')\n")
    assert "left as a draft" in out
    assert "never" not in out
    assert only_task().status.state == tasks.TASK_STATE_DRAFT


def test_a_task_that_was_sent_does_not_go_on_here_when_nobody_listens(
    api: FakeApi, scripts: Scripts, only_task: OnlyTask
) -> None:
    out = scripts.run(
        "from batuta import Task\n"
        "import os\n"
        "task = Task.init('p', 'n')\n"
        "reading, writing = os.pipe()\n"
        "os.dup2(writing, 2)\n"
        "os.close(reading)\n"
        "try:\n"
        "    task.execute_remotely('default')\n"
        "finally:\n"
        "    print('never')\n"
    )
    assert "never" not in out
    assert only_task().status.state == tasks.TASK_STATE_QUEUED


def test_an_unknown_queue_is_an_error_that_lists_the_queues_and_the_script_goes_on(
    api: FakeApi, scripts: Scripts, only_task: OnlyTask
) -> None:
    out = scripts.run(
        "from batuta import Task\n"
        "task = Task.init('p', 'n')\n"
        "try: task.execute_remotely('gpus')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "print('went on')\n"
    )
    assert "QueueNotFound" in out
    assert "default, services" in out
    api.state.wait_for(lambda: only_task().status.state == tasks.TASK_STATE_COMPLETED)
    assert api.state.log(only_task().id).endswith(b"went on\n")


def test_a_clone_may_be_sent_while_the_script_goes_on(api: FakeApi, scripts: Scripts) -> None:
    scripts.run(
        "from batuta import Task\n"
        "task = Task.init('p', 'n')\n"
        "clone = task.execute_remotely('default', clone=True, exit_process=False)\n"
        "assert clone.id != task.id and clone.status == 'queued', clone.status\n"
        "print('went on')\n"
    )
    first = next(iter(api.state.tasks))
    api.state.wait_for(lambda: api.state.state(first) == tasks.TASK_STATE_COMPLETED)
    assert len(api.state.tasks) == 2


def test_under_an_agent_the_same_script_runs_through_and_its_iterations_go_on(
    api: FakeApi, scripts: Scripts, remote_env: RemoteEnv
) -> None:
    task = task_with(api)
    task.status.last_iteration = 4
    env = remote_env(task)
    out = scripts.run(
        "from batuta import Task\n"
        "task = Task.init('other project', 'other name')\n"
        "task.execute_remotely('default')\n"
        "assert not Task.running_locally()\n"
        "for at in range(3): task.get_logger().report_scalar('loss', 's', 1.0, at)\n"
        "print(task.id, task.get_initial_iteration(), task.get_last_iteration())\n",
        env=env,
    )
    assert out == "t 5 7\n"
    assert spooled(env) == [("loss", 5), ("loss", 6), ("loss", 7)]
    spool = Path(env["BATUTA_SPOOL_DIR"])
    assert not (spool / "console.log").exists()
    assert not (spool / "close.json").exists()
    assert not {"CreateTask", "StartTask", "FinishTask", "EnqueueTask"} & set(api.state.calls)


def test_a_process_that_a_remote_script_starts_has_the_same_offset(
    api: FakeApi, scripts: Scripts, remote_env: RemoteEnv
) -> None:
    env = remote_env(task_with(api))
    out = scripts.run(
        "import subprocess, sys\n"
        "from batuta import Task\n"
        "task = Task.init()\n"
        "if len(sys.argv) == 1:\n"
        "    task.get_logger().report_scalar('parent', 's', 1.0, 9)\n"
        "    subprocess.run([sys.executable, __file__, 'child'], check=True)\n"
        "else: task.get_logger().report_scalar('child', 's', 1.0, 9)\n",
        env=env,
    )
    assert out == ""
    assert spooled(env) == [("child", 9), ("parent", 9)]


def test_a_connected_dict_takes_the_servers_values_in_the_types_of_the_script(
    api: FakeApi, scripts: Scripts, remote_env: RemoteEnv
) -> None:
    task = task_with(
        api,
        General__lr=("3", "STRING"),
        General__steps=("7", "STRING"),
        General__on=("no", "STRING"),
        General__layers=("[1, 2]", "JSON"),
        General__deep__name=("x", "STRING"),
        General__nothing=("5", "INT"),
        General__unknown=("1", "INT"),
        Other__lr=("9.5", "FLOAT"),
    )
    out = scripts.run(
        "from batuta import Task\n"
        "task = Task.init()\n"
        "own = {'lr': 0.1, 'steps': 1, 'on': True, 'layers': (0,), 'deep': {'name': 'y'}, 'nothing': None, 'new': 2}\n"
        "conf = task.connect(own)\n"
        "print(dict(conf)); assert own == conf\n"
        "print(task.connect({'lr': 0.1}, name='Other'))\n",
        env=remote_env(task),
    )
    assert out.splitlines() == [
        "{'lr': 3.0, 'steps': 7, 'on': False, 'layers': (1, 2), 'deep': {'name': 'x'}, 'nothing': 5, 'new': 2}",
        "{'lr': 9.5}",
    ]
    assert ("General", "new", "2") in [(each.section, each.name, each.value) for each in task_now(api).spec.parameters]


def task_now(api: FakeApi) -> tasks.Task:
    return api.state.task("t")


def test_a_value_that_does_not_fit_is_one_clear_error(api: FakeApi, scripts: Scripts, remote_env: RemoteEnv) -> None:
    task = task_with(api, General__lr=("fast", "STRING"))
    out = scripts.run("from batuta import Task\nTask.init().connect({'lr': 0.1})\n", code=1, env=remote_env(task))
    assert "ValueError: parameter General/lr of the task: 'fast' is not a number" in out


PARSER = """
import argparse
from batuta import Task
parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--lr", type=float, required=True, help="learning rate")
parser.add_argument("--layers", type=int, nargs="+", default=[1])
parser.add_argument("--fast", action="store_true")
parser.add_argument("--note", default=None)
"""


@pytest.mark.parametrize("order", ["parse first", "init first"])
def test_the_command_line_becomes_parameters_in_either_order(
    api: FakeApi, scripts: Scripts, only_task: OnlyTask, order: str
) -> None:
    lines = ["args = parser.parse_args()", "task = Task.init('p', 'n')"]
    text = PARSER + "\n".join(lines if order == "parse first" else lines[::-1])
    scripts.run(text, "digits", "--lr", "0.5", "--layers", "3", "4", "--fast")
    api.state.wait_for(lambda: only_task().status.state == tasks.TASK_STATE_COMPLETED)
    found = {each.name: (each.section, each.value) for each in only_task().spec.parameters}
    assert found == {
        "data": ("Args", "digits"),
        "lr": ("Args", "0.5"),
        "layers": ("Args", "[3, 4]"),
        "fast": ("Args", "True"),
        "note": ("Args", ""),
    }
    assert next(each.description for each in only_task().spec.parameters if each.name == "lr") == "learning rate"


@pytest.mark.parametrize("order", ["parse first", "init first"])
def test_under_an_agent_the_command_line_is_the_servers_in_either_order(
    api: FakeApi, scripts: Scripts, remote_env: RemoteEnv, order: str
) -> None:
    task = task_with(
        api,
        Args__data=("digits", "STRING"),
        Args__lr=("0.5", "FLOAT"),
        Args__layers=("[3, 4]", "JSON"),
        Args__fast=("True", "BOOL"),
        Args__note=("", "NONE"),
    )
    lines = ["args = parser.parse_args()", "task = Task.init('p', 'n')"]
    text = PARSER + "\n".join(lines if order == "parse first" else lines[::-1]) + "\nprint(args)\n"
    out = scripts.run(text, env=remote_env(task))
    assert out == "Namespace(data='digits', lr=0.5, layers=[3, 4], fast=True, note=None)\n"


def test_sub_commands_go_to_the_agent_too(
    api: FakeApi, scripts: Scripts, remote_env: RemoteEnv, only_task: OnlyTask
) -> None:
    text = (
        "import argparse\n"
        "from batuta import Task\n"
        "parser = argparse.ArgumentParser()\n"
        "commands = parser.add_subparsers(dest='command', required=True)\n"
        "train = commands.add_parser('train'); train.add_argument('--lr', type=float, default=1.0)\n"
        "test = commands.add_parser('test')\n"
        "task = Task.init('p', 'n')\n"
        "print(parser.parse_args())\n"
    )
    scripts.run(text, "train", "--lr", "2")
    api.state.wait_for(lambda: only_task().status.state == tasks.TASK_STATE_COMPLETED)
    task = only_task()
    task.status.state, task.status.attempt_open = tasks.TASK_STATE_RUNNING, True
    task.status.attempt = 2
    assert scripts.run(text, env=remote_env(task, 2)) == "Namespace(command='train', lr=2.0)\n"


def test_a_remote_run_waits_for_a_server_that_is_away(api: FakeApi, scripts: Scripts, remote_env: RemoteEnv) -> None:
    env = remote_env(task_with(api))
    api.stop()
    script = scripts.start("from batuta import Task\nprint(Task.init().id)\n", env=env)
    assert script.stderr is not None
    assert "waiting for the server" in script.stderr.readline()
    api.start()
    out, _ = script.communicate(timeout=30)
    assert out == "t\n"
