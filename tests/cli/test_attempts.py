"""`batuta task attempts`, the history on a task's page, and the flags of tries."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types

ID = "01987e0c5b7a7f10a3d2c4e5f6a7b8c9"


@pytest.fixture
def task(server: Any) -> tasks.Task:
    """A draft."""
    made = tasks.Task(id=ID, etag="3", display_name="digits")
    made.status.state = tasks.TASK_STATE_DRAFT
    server.state.tasks[ID] = made
    return made


def attempted(server: Any, count: int) -> None:
    """So many attempts, the newest of which runs."""
    for number in range(count, 0, -1):
        each = tasks.Attempt(attempt=number, phase=types.ATTEMPT_PHASE_LOST, agent_id="box:0", host="box")
        each.reason, each.message = "AGENT_LOST", "its agent was lost"
        each.end_time.FromSeconds(1_770_000_000)
        if number == count:
            each.CopyFrom(tasks.Attempt(attempt=number, phase=types.ATTEMPT_PHASE_RUNNING, local=True))
        server.state.attempts.append(each)


def test_attempts_are_listed_over_all_pages(batuta: Any, server: Any, task: tasks.Task) -> None:
    attempted(server, 7)
    lines = batuta("task", "attempts", ID).text.splitlines()
    assert lines[0].split() == ["ATTEMPT", "PHASE", "AGENT", "HOST", "STARTED", "ENDED", "REASON", "MESSAGE"]
    assert [line.split()[0] for line in lines[1:]] == ["7", "6", "5", "4", "3", "2", "1"]
    assert lines[1].split()[:3] == ["7", "RUNNING", "local"]
    assert lines[2].split() == [
        "6", "LOST", "box:0", "box", "-", "2026-02-02", "02:40:00Z", "AGENT_LOST", "its", "agent", "was", "lost",
    ]  # fmt: skip
    found = json.loads(batuta("task", "attempts", ID, "--limit", "2", "--json").out)
    assert [each["attempt"] for each in found["attempts"]] == ["7", "6"]


def test_attempts_of_a_task_that_is_not_there_are_one_line(batuta: Any) -> None:
    answer = batuta("task", "attempts", ID)
    assert (answer.code, answer.text) == (1, "")


def test_a_tasks_page_shows_its_newest_attempts_and_its_retries(batuta: Any, server: Any, task: tasks.Task) -> None:
    attempted(server, 7)
    assert "Attempts" not in batuta("task", "show", ID).text
    task.status.attempt = 7
    task.spec.retry.max_failures = 2
    task.spec.retry.time_limit.seconds = 90
    text = batuta("task", "show", ID).text
    assert "  7  RUNNING  local" in text
    assert "  3  LOST  box:0  2026-02-02 02:40:00Z  its agent was lost" in text
    assert "  2  LOST" not in text
    assert "failures    2" in text
    assert "time limit  90 s" in text


def test_enqueue_says_how_often_a_draft_is_tried_and_leaves_what_is_not_named(
    batuta: Any, server: Any, task: tasks.Task
) -> None:
    task.spec.retry.max_infrastructure_losses = 9
    flags = ["--retries", "2", "--lease-policy", "fast", "--time-limit", "12h"]
    assert batuta("task", "enqueue", ID, *flags).code == 0
    update, enqueue = server.state.asked
    assert (update.task.etag, list(update.update_mask.paths)) == ("3", ["spec.retry"])
    expected = types.RetryPolicy(lease_policy=types.LEASE_POLICY_FAST, max_failures=2, max_infrastructure_losses=9)
    expected.time_limit.seconds = 43_200
    assert update.task.spec.retry == expected
    assert enqueue.task_id == ID


def test_a_clone_may_be_tried_more_often_than_its_original(batuta: Any, server: Any, task: tasks.Task) -> None:
    assert batuta("task", "clone", ID, "--max-losses", "0").text.strip() == "f" * 32
    assert server.state.asked[-1].task.spec.retry == types.RetryPolicy(max_infrastructure_losses=0)
    assert server.state.asked[-1].task.id == "f" * 32


@pytest.mark.parametrize(
    "wrong", [("--retries", "101"), ("--max-losses", "-1"), ("--time-limit", "soon"), ("--lease-policy", "slow")]
)
def test_wrong_flags_of_tries_are_errors_of_usage(batuta: Any, task: tasks.Task, wrong: tuple[str, str]) -> None:
    assert batuta("task", "enqueue", ID, *wrong).code == 2
