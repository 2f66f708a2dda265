"""What people get wrong: one clear message each, no traceback, nothing half done."""

from __future__ import annotations

import pytest

from batuta_proto.tasks import v1 as tasks
from tests.e2e.harness.person import Person, task_id
from tests.e2e.harness.remote import Remote
from tests.e2e.harness.stack import Services
from tools.ports import free_port

SCRIPT = """
from batuta import Task
task = Task.init(project_name="e2e", task_name="bad input")
print(task.id, flush=True)
task.get_logger().report_scalar("loss", "train", 1.0, 0)
task.execute_remotely("no such queue")
print("not reached")
"""


@pytest.fixture
def person(services: Services) -> Person:
    return services.person("bad")


def test_a_wrong_credential_is_refused_at_login_and_in_a_script(services: Services, person: Person) -> None:
    key = services.credential().access_key
    person.config.unlink()
    done = person.batuta("init", "--api", services.api, "--access-key", key, "--secret-key", "wrong")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "refuses the credential" in done.stderr
    assert not person.config.exists()
    person.env.update(BATUTA_API=services.api, BATUTA_ACCESS_KEY=key, BATUTA_SECRET_KEY="wrong")
    ran = person.run(person.write("wrong.py", "from batuta import Task\nTask.init('e2e', 'wrong')\nprint('on')\n"))
    assert ran.returncode != 0
    assert services.api.removeprefix("http://") in ran.stderr
    assert "batuta init" in ran.stderr
    assert "on\n" not in ran.stdout


def test_an_agent_with_a_wrong_credential_is_told_so_and_ends(services: Services) -> None:
    wrong = services.folder / "wrong.credentials"
    wrong.write_text(f"[batuta]\napi = {services.api}\naccess_key = nobody\nsecret_key = wrong\n")
    agent = services.start_agent("nobody", ["--queue", "default", "--credentials", str(wrong)])
    assert agent.wait(30) not in (0, None)
    assert "Traceback" not in agent.said
    assert "nobody" in agent.said or "credential" in agent.said


def test_no_server_is_told_at_login_and_in_a_script(person: Person) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    done = person.batuta("init", "--api", nowhere, "--access-key", "KEY", "--secret-key", "secret")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert nowhere.removeprefix("http://") in done.stderr
    person.env.update(BATUTA_API=nowhere, BATUTA_ACCESS_KEY="KEY", BATUTA_SECRET_KEY="secret")
    ran = person.run(person.write("nowhere.py", "from batuta import Task\nTask.init('e2e', 'nowhere')\n"))
    assert ran.returncode != 0
    assert nowhere.removeprefix("http://") in ran.stderr


def test_without_a_login_a_script_runs_offline_and_says_what_to_do(person: Person) -> None:
    person.config.unlink()
    script = person.write(
        "offline.py",
        """
        from batuta import Task
        task = Task.init("e2e", "offline")
        task.get_logger().report_scalar("loss", "train", 1.0, 0)
        print("trained")
        """,
    )
    ran = person.run(script)
    assert ran.returncode == 0, ran.stderr
    assert "trained\n" in ran.stdout
    assert "batuta init" in ran.stderr


def test_an_unknown_queue_lists_the_queues_and_the_run_fails_as_itself(person: Person, remote: Remote) -> None:
    ran = person.run(person.write("unknown.py", SCRIPT))
    assert ran.returncode == 1
    assert "no such queue" in ran.stderr
    assert "default" in ran.stderr
    assert "services" in ran.stderr
    assert "not reached" not in ran.stdout
    task = remote.wait(task_id(ran.stdout), seconds=30)
    assert task.status.state == tasks.TASK_STATE_FAILED
    assert "no such queue" in task.status.message
    assert remote.points(task.id)[("loss", "train")] == [(0, 1.0)]


def test_create_queue_makes_the_queue(person: Person, remote: Remote) -> None:
    made = remote.create("print('x')", "queue made")
    refused = person.batuta("task", "enqueue", made, "--queue", "made by enqueue")
    assert refused.returncode == 1
    assert "default" in refused.stderr
    assert "--create-queue" in refused.stderr
    assert remote.get(made).status.state == tasks.TASK_STATE_DRAFT
    assert person.batuta("task", "enqueue", made, "--queue", "made by enqueue", "--create-queue").returncode == 0
    assert "made by enqueue" in person.batuta("queue", "list").stdout
    assert person.batuta("task", "abort", made).returncode == 0
