"""The main job: an epoch here, the rest on an agent, and everything to be seen from here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from batuta_proto.tasks import v1 as tasks
from tests.e2e.harness.git_server import Repository
from tests.e2e.harness.person import Person, task_id
from tests.e2e.harness.remote import Remote
from tests.e2e.harness.stack import Services

TRAIN = """
import argparse
import sys
from batuta import Task
from model import loss

task = Task.init(project_name="e2e/main", task_name="one epoch", task_type=Task.TaskTypes.training)
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--queue", default="default")
arguments = parser.parse_args()
settings = task.connect({"rate": 0.5, "layers": [1, 2]}, name="Net")
done = task.get_initial_iteration()
print("task", task.id, flush=True)
for epoch in range(done, arguments.epochs):
    task.get_logger().report_scalar("loss", "train", loss(epoch, settings["rate"]), epoch - done)
    print("epoch %d of %s" % (epoch, "committed version"), flush=True)
    if epoch == 0:
        task.execute_remotely(arguments.queue)
print("all done", flush=True)
"""
MODEL = "def loss(epoch, rate):\n    return rate / (epoch + 1)\n"


@pytest.fixture
def person(shared: Services, repository: Repository) -> Person:
    person = shared.person("main")
    person.env["GIT_CONFIG_GLOBAL"] = os.devnull
    (repository.work / "train.py").write_text(TRAIN.replace("Task.TaskTypes.training", '"training"'))
    (repository.work / "model.py").write_text(MODEL)
    repository.push()
    return person


def test_one_epoch_here_and_the_rest_on_an_agent_with_an_uncommitted_edit(
    person: Person, repository: Repository, remote: Remote
) -> None:
    train = repository.work / "train.py"
    train.write_text(train.read_text().replace("committed version", "edited version"))
    ran = person.run(train, "--epochs", "4")
    assert ran.returncode == 0, ran.stderr
    assert "epoch 0 of edited version" in ran.stdout
    assert "epoch 1" not in ran.stdout
    assert "Switching to remote execution" in ran.stderr
    assert "Terminating local execution process" in ran.stderr
    identity = task_id(ran.stdout)

    followed = person.batuta("task", "logs", "-f", identity, seconds=120)
    assert followed.returncode == 0
    task = remote.wait(identity, seconds=10)
    assert task.status.state == tasks.TASK_STATE_COMPLETED, followed.stdout
    assert f"task {identity} is COMPLETED" in followed.stderr
    for epoch in range(4):
        assert followed.stdout.count(f"epoch {epoch} of edited version\n") == 1
    assert followed.stdout.count("all done\n") == 1
    assert remote.points(identity)[("loss", "train")] == [(epoch, 0.5 / (epoch + 1)) for epoch in range(4)]

    source = task.spec.source if task.spec.source.commit else remote.get(identity).spec.source
    assert source.repository_url == repository.url
    assert source.commit == repository.git("rev-parse", "HEAD")
    assert "edited version" in source.diff
    assert source.script == ""
    assert task.status.attempt == 2
    assert task.status.agent_id == "shared"
    parameters = {(each.section, each.name): each.value for each in remote.get(identity).spec.parameters}
    assert parameters["Args", "epochs"] == "4"
    assert parameters["Net", "rate"] == "0.5"

    table = person.batuta("task", "metrics", identity).stdout.splitlines()
    assert table[1].split() == ["loss", "train", "4", "3", "0.125", "0.125", "0.5"]
    listed = person.batuta("task", "list", "--project", "e2e/main", "--state", "completed").stdout
    assert identity in listed


def test_a_clone_runs_with_changed_parameters(person: Person, repository: Repository, remote: Remote) -> None:
    ran = person.run(repository.work / "train.py", "--epochs", "1", "--queue", "default")
    assert ran.returncode == 0, ran.stderr
    original = task_id(ran.stdout)
    assert remote.wait(original).status.state == tasks.TASK_STATE_COMPLETED
    clone = person.batuta("task", "clone", original, "--name", "again").stdout.strip()
    change = person.write(
        "change.py",
        f"""
        from batuta import Task
        task = Task.get_task(task_id="{clone}")
        task.set_parameter("Args/epochs", 2)
        task.set_parameter("Net/rate", 8.0)
        Task.enqueue(task, queue_name="default")
        task.wait_for_status()
        print(task.status)
        """,
    )
    done = person.run(change, seconds=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "completed"
    assert remote.points(clone)[("loss", "train")] == [(0, 8.0), (1, 4.0)]


def test_without_a_queue_the_task_stays_a_draft_with_what_it_reported(person: Person, remote: Remote) -> None:
    script = person.write(
        "draft.py",
        """
        from batuta import Task
        task = Task.init("e2e/main", "draft")
        print(task.id, flush=True)
        task.get_logger().report_scalar("loss", "train", 1.0, 0)
        task.execute_remotely()
        print("not reached")
        """,
    )
    ran = person.run(script)
    assert ran.returncode == 0, ran.stderr
    assert "not reached" not in ran.stdout
    task = remote.get(task_id(ran.stdout))
    assert task.status.state == tasks.TASK_STATE_DRAFT
    assert remote.points(task.id)[("loss", "train")] == [(0, 1.0)]


@pytest.mark.timeout(300)  # builds an environment with scikit-learn in it
def test_the_digits_example_trains_on(shared: Services, remote: Remote, tmp_path: Path) -> None:
    person = shared.person("digits")
    script = tmp_path / "digits.py"
    shutil.copy(Path(__file__).parents[2] / "examples" / "digits.py", script)
    ran = person.run(script, "--epochs", "3", seconds=120)
    assert ran.returncode == 0, ran.stderr
    wanted = tasks.ListTasksRequest.Filter(project_name="examples", display_name="digits")
    (listed,) = remote.tasks.ListTasks(tasks.ListTasksRequest(filter=wanted)).tasks
    task = remote.wait(listed.id, seconds=180)
    assert task.status.state == tasks.TASK_STATE_COMPLETED, remote.log_tail(task.id)
    points = remote.points(task.id)
    assert [iteration for iteration, _ in points["loss", "test"]] == [0, 1, 2]
    losses = [value for _, value in points["loss", "train"]]
    assert losses == sorted(losses, reverse=True)
    assert b"trained 3 epochs\n" in remote.log(task.id)
