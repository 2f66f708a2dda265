"""`batuta task …` against a server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types

ID = "01987e0c5b7a7f10a3d2c4e5f6a7b8c9"


def make_task(task_id: str = ID, **status: Any) -> tasks.Task:
    task = tasks.Task(id=task_id, display_name="digits", owner="admin")
    task.spec.project_name = "examples"
    values: dict[str, Any] = {"state": tasks.TASK_STATE_DRAFT, **status}
    task.status.CopyFrom(tasks.TaskStatus(**values))
    task.create_time.FromSeconds(1_770_000_000)
    return task


@pytest.fixture
def task(server: Any) -> tasks.Task:
    made = make_task()
    server.state.tasks[ID] = made
    return made


def test_tasks_are_listed_over_all_pages_in_an_aligned_table(batuta: Any, server: Any) -> None:
    for number in range(7):
        each = make_task(f"{number:032x}", state=tasks.TASK_STATE_RUNNING, agent_id="box:0", last_iteration=number)
        server.state.tasks[each.id] = each
    lines = batuta("task", "list").text.splitlines()
    assert lines[0].split() == ["ID", "NAME", "PROJECT", "STATE", "QUEUE", "AGENT", "ITERATION", "UPDATED"]
    assert len(lines) == 8
    assert lines[7].split() == [f"{6:032x}", "digits", "examples", "RUNNING", "-", "box:0", "6", "-"]


def test_a_list_stops_at_its_limit(batuta: Any, server: Any) -> None:
    for number in range(7):
        server.state.tasks[f"{number:032x}"] = make_task(f"{number:032x}")
    assert len(json.loads(batuta("task", "list", "--limit", "5", "--json").out)["tasks"]) == 5


def test_filters_reach_the_server(batuta: Any, server: Any) -> None:
    argv = ["--project", "a/b", "--name", "n", "--state", "running", "--state", "queued", "--tag", "t"]
    assert batuta("task", "list", *argv).code == 0
    expected = tasks.ListTasksRequest.Filter(
        project_name="a/b", display_name="n", states=["TASK_STATE_RUNNING", "TASK_STATE_QUEUED"], tags=["t"]
    )
    assert server.state.asked[0].filter == expected


def test_a_task_is_shown_with_all_that_matters(batuta: Any, task: tasks.Task) -> None:
    failed = tasks.TaskStatus(
        state=tasks.TASK_STATE_FAILED,
        reason="EXIT_CODE",
        message="exit code 3",
        attempt=2,
        phase=types.ATTEMPT_PHASE_FAILED,
        queue_name="gpu",
        agent_id="box:0",
        exit_code=3,
    )
    task.status.CopyFrom(failed)
    task.spec.source.CopyFrom(tasks.Source(repository_url="https://host/r.git", commit="abc", diff="x" * 2048))
    task.spec.environment.requirements.append("numpy==2.4.6")
    task.spec.parameters.add(section="Args", name="epochs", value="5")
    text = " ".join(batuta("task", "show", ID).text.split())
    for part in (
        f"id {ID}",
        "state FAILED",
        "reason EXIT_CODE",
        "message exit code 3",
        "attempt 2 (FAILED)",
        "queue gpu",
        "agent box:0",
        "exit code 3",
        "created 2026-02-02 02:40:00Z",
        "repository https://host/r.git",
        "uncommitted diff of 2.0 KiB",
        "requirements numpy==2.4.6",
        "Args/epochs 5",
    ):
        assert part in text


@pytest.mark.usefixtures("task")
def test_json_has_the_names_of_the_contract(batuta: Any) -> None:
    shown = json.loads(batuta("task", "show", ID, "--json").out)
    assert shown["display_name"] == "digits"
    assert shown["status"]["state"] == "TASK_STATE_DRAFT"
    assert shown["status"]["queue_name"] == ""


def test_an_unknown_task_is_one_line_and_says_where_to_look(batuta: Any) -> None:
    done = batuta("task", "show", "nope")
    assert done.code == 1
    assert done.err == "batuta: there is no task 'nope'. `batuta task list` shows the tasks.\n"


@pytest.mark.usefixtures("task")
def test_enqueue_names_task_and_queue(batuta: Any, server: Any) -> None:
    done = batuta("task", "enqueue", ID, "--priority", "-3")
    assert done.text == f"Task {ID} is in the queue 'default'.\n"
    assert server.state.asked[0].priority == -3
    assert len(server.state.asked[0].request_id) == 36


@pytest.mark.usefixtures("task")
def test_an_unknown_queue_lists_the_queues_and_says_how_to_make_it(batuta: Any) -> None:
    done = batuta("task", "enqueue", ID, "--queue", "gpu")
    assert done.code == 1
    assert "there are: default." in done.err
    assert "--create-queue" in done.err
    assert batuta("task", "enqueue", ID, "--queue", "gpu", "--create-queue").code == 0


def test_abort_tells_the_new_state(batuta: Any, task: tasks.Task) -> None:
    task.status.state = tasks.TASK_STATE_RUNNING
    assert batuta("task", "abort", ID, "--message", "wrong data").text == f"Task {ID} is STOPPING.\n"
    assert task.status.message == "wrong data"


@pytest.mark.usefixtures("task")
def test_a_state_that_forbids_it_is_told_in_the_servers_words(batuta: Any) -> None:
    done = batuta("task", "abort", ID)
    assert (done.code, done.err) == (1, "batuta: a task in DRAFT cannot become ABORTED.\n")


@pytest.mark.usefixtures("task")
def test_clone_prints_the_new_id_alone(batuta: Any) -> None:
    done = batuta("task", "clone", ID, "--name", "again")
    assert done.text == "f" * 32 + "\n"
    assert "'again' is a draft" in done.err


def test_without_a_login_the_user_is_told_to_init(program: Any) -> None:
    done = program("task", "list")
    assert done.code == 1
    assert done.err.startswith("batuta: no server is configured. Run `batuta init` first")


def test_half_a_login_is_told_and_never_sent(program: Any) -> None:
    program.config.write_text("[batuta]\napi = http://127.0.0.1:1\n")
    done = program("task", "list")
    assert done.code == 1
    assert "access_key and secret_key missing" in done.err


def test_columns_are_shown_beside_the_tasks_in_the_order_asked_for(batuta: Any, server: Any) -> None:
    for number in range(5):
        server.state.tasks[f"t{number}"] = tasks.Task(id=f"t{number}", display_name="digits")
    keys = ("metric:min:loss/train", "param:Args/lr", "metric:acc/test")
    lines = batuta("task", "list", *(word for key in keys for word in ("--column", key))).text.splitlines()
    assert lines[0].split()[-3:] == list(keys)
    assert lines[1].split()[-3:] == ["0.5", "0.1", "-"]
    request = server.state.asked[-1]
    assert [(each.metric, each.variant, each.summary) for each in request.metric_columns] == [
        ("loss", "train", tasks.METRIC_SUMMARY_MIN),
        ("acc", "test", tasks.METRIC_SUMMARY_LAST),
    ]
    assert [(each.section, each.name) for each in request.parameter_columns] == [("Args", "lr")]
    listed = json.loads(batuta("task", "list", "--column", keys[0], "--json").out)["tasks"]
    assert [each["columns"] for each in listed] == [{keys[0]: 0.5}] * 5
    assert batuta("task", "list", "--column", "loss").code == 2
