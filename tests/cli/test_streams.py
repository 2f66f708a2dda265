"""`batuta task logs` and `batuta task metrics`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batuta_proto.metrics import v1 as metrics
from batuta_proto.tasks import v1 as tasks

ID = "01987e0c5b7a7f10a3d2c4e5f6a7b8c9"


@pytest.fixture(autouse=True)
def task(server: Any) -> tasks.Task:
    made = tasks.Task(id=ID, status=tasks.TaskStatus(state=tasks.TASK_STATE_COMPLETED))
    server.state.tasks[ID] = made
    return made


def test_a_log_is_written_byte_for_byte(batuta: Any, server: Any) -> None:
    server.state.log = [b"a\r\n", b"\xff\x00\x1b[31m", "\u00e9".encode()[:1], "\u00e9".encode()[1:]]
    done = batuta("task", "logs", ID)
    assert done.out == b"a\r\n\xff\x00\x1b[31m\xc3\xa9"
    assert done.err == ""


def test_following_goes_on_where_the_connection_was_lost(batuta: Any, server: Any) -> None:
    server.state.log = [b"%d\n" % number for number in range(10)]
    server.state.cut_log_after = [2, 2, 7]
    done = batuta("task", "logs", "-f", ID)
    assert done.out == b"".join(server.state.log)
    assert [request.after_position for request in server.state.asked] == [0, 2, 2, 7]
    assert "going on as soon as the server answers" in done.err
    assert done.err.endswith(f"batuta: task {ID} is COMPLETED\n")


def test_an_attempt_that_is_not_there_is_an_error(batuta: Any, task: tasks.Task) -> None:
    task.status.attempt = 2
    done = batuta("task", "logs", "--attempt", "3", ID)
    assert (done.code, done.err) == (1, f"batuta: task {ID} has no attempt 3; its newest is 2.\n")
    assert batuta("task", "logs", "--attempt", "2", ID).code == 0


def test_not_following_a_lost_connection_is_an_error(batuta: Any, server: Any) -> None:
    server.state.log = [b"1", b"2"]
    server.state.cut_log_after = [1]
    done = batuta("task", "logs", ID)
    assert (done.code, done.out) == (1, b"1")
    assert done.err == "batuta: this process is going down.\n"


def test_following_gives_up_after_a_bounded_number_of_tries(batuta: Any, server: Any) -> None:
    server.state.log = [b"1", b"2"]
    server.state.cut_log_after = [1] * 1000
    done = batuta("task", "logs", "-f", ID)
    assert done.code == 1
    assert 60 <= len(server.state.asked) <= 62


def test_a_tail_is_asked_for_once_only(batuta: Any, server: Any) -> None:
    server.state.log = [b"1", b"2"]
    server.state.cut_log_after = [1]
    batuta("task", "logs", "-f", "--tail", "100", "--attempt", "2", ID)
    asked = server.state.asked
    assert [(each.tail_bytes, each.after_position, each.attempt) for each in asked] == [(100, 0, 2), (0, 1, 2)]


def test_a_failed_task_is_told_with_its_message(batuta: Any, task: tasks.Task) -> None:
    task.status.state = tasks.TASK_STATE_FAILED
    task.status.message = "exit code 3"
    assert batuta("task", "logs", "-f", ID).err == f"batuta: task {ID} is FAILED: exit code 3\n"


def test_metrics_are_a_table_of_summaries(batuta: Any, server: Any) -> None:
    summary: dict[str, Any] = {
        "count": 3,
        "last_value": 0.25,
        "last_iteration": 2,
        "min_value": 0.25,
        "max_value": 1 / 3,
    }
    server.state.summaries = [
        metrics.ScalarSummary(metric="loss", variant="train", **summary),
        metrics.ScalarSummary(metric="loss", variant="test", **summary),
    ]
    lines = batuta("task", "metrics", ID).text.splitlines()
    assert lines[0].split() == ["METRIC", "VARIANT", "COUNT", "ITERATION", "LAST", "MIN", "MAX"]
    assert lines[1].split() == ["loss", "train", "3", "2", "0.25", "0.25", "0.333333"]
    assert len(batuta("task", "metrics", ID, "--variant", "test").text.splitlines()) == 2
    assert json.loads(batuta("task", "metrics", ID, "--json").out)["scalars"][0]["last_iteration"] == "2"


def test_points_are_printed_as_they_come(batuta: Any, server: Any) -> None:
    server.state.columns = [
        metrics.ScalarColumn(
            metric="loss", variant="train", iterations=[0, 1], time_unix_millis=[5, 6], values=[0.5, float("nan")]
        )
    ]
    assert batuta("task", "metrics", "-f", ID).text == "loss/train  0  0.5\nloss/train  1  nan\n"
    lines = batuta("task", "metrics", "-f", "--json", ID).text.splitlines()
    assert json.loads(lines[0]) == {
        "metric": "loss",
        "variant": "train",
        "iteration": 0,
        "time_unix_millis": 5,
        "value": 0.5,
    }
