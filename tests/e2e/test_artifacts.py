"""What a task leaves on an agent is read here, by its SHA-256 the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batuta_proto.tasks import v1 as tasks
from tests.e2e.harness.git_server import Repository
from tests.e2e.harness.person import Person, task_id
from tests.e2e.harness.remote import Remote
from tests.e2e.harness.stack import Services

TRAIN = """
import pathlib
from batuta import Task

task = Task.init("e2e/artifacts", "leaves some")
print("task", task.id, flush=True)
task.execute_remotely("default")
pathlib.Path("run").mkdir()
pathlib.Path("run/weights.bin").write_bytes(b"w" * 3_000_000)
task.upload_artifact("report", {"accuracy": 0.5}, metadata={"epoch": 3})
task.upload_artifact("run", pathlib.Path("run"))
"""
READ = """
import sys
from batuta import Task

found = Task.get_task(sys.argv[1]).artifacts
print(found["report"].get()["accuracy"], found["report"].attempt, found["report"].metadata["epoch"])
print((found["run"].get() / "weights.bin").stat().st_size)
"""


@pytest.fixture
def person(shared: Services, repository: Repository) -> Person:
    person = shared.person("artifacts")
    person.env["GIT_CONFIG_GLOBAL"] = os.devnull
    (repository.work / "train.py").write_text(TRAIN)
    repository.push()
    return person


def test_artifacts_of_a_run_on_an_agent_are_read_by_scripts_and_by_the_program(
    person: Person, repository: Repository, remote: Remote, tmp_path: Path
) -> None:
    ran = person.run(repository.work / "train.py")
    assert ran.returncode == 0, ran.stderr
    identity = task_id(ran.stdout)
    ended = remote.wait(identity)
    assert ended.status.state == tasks.TASK_STATE_COMPLETED, person.batuta("task", "logs", identity).stdout
    read = person.run(person.write("read.py", READ), identity)
    assert read.stdout.split() == ["0.5", str(ended.status.attempt), "3", "3000000"], read.stderr
    got = person.batuta("artifact", "get", identity, "report", "-o", str(tmp_path / "report.json"))
    assert got.returncode == 0, got.stderr
    assert (tmp_path / "report.json").read_text() == '{\n  "accuracy": 0.5\n}'
    # Its run is over, and so is its right to write; a person's is not.
    put = person.batuta("artifact", "put", identity, str(tmp_path / "report.json"), "--name", "by hand")
    assert put.returncode == 0, put.stderr
    assert "by hand" in person.batuta("artifact", "list", identity).stdout
