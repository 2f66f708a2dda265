"""Changing tasks from the command line: one, many, those that fit; editing; watching."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types

ID, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def two(server: Any) -> list[tasks.Task]:
    """Two tasks on the server."""
    for task_id in (ID, OTHER):
        task = tasks.Task(id=task_id, etag="7", display_name="digits")
        task.spec.project_name = "examples"
        task.status.state = tasks.TASK_STATE_DRAFT
        server.state.tasks[task_id] = task
    return list(server.state.tasks.values())


def test_one_task_is_changed_by_its_id(batuta: Any, server: Any, two: list[tasks.Task]) -> None:
    assert batuta("task", "delete", ID).text == f"Task {ID} is deleted.\n"
    assert batuta("task", "tag", ID, "--add", "best").text == f"Task {ID} has the tags: best.\n"
    assert server.state.asked[1].request_id


def test_several_are_changed_at_once_and_those_that_fail_say_why(batuta: Any, server: Any, two: Any) -> None:
    done = batuta("task", "archive", ID, "nobody", OTHER)
    assert done.code == 1
    lines = done.text.splitlines()
    assert [line.split()[0] for line in lines] == ["ID", ID, "nobody", OTHER]
    assert "there is no task 'nobody'" in lines[2]
    assert "2 of 3 tasks changed" in done.err
    (asked,) = server.state.asked
    assert [each.archive.task_id for each in asked.changes] == [ID, "nobody", OTHER]


def test_those_that_fit_are_changed_after_a_yes(batuta: Any, server: Any, two: Any) -> None:
    refused = batuta("task", "delete", "--project", "examples")
    assert refused.code == 2
    assert "2 tasks fit; nobody can be asked here, so add --yes" in refused.err
    assert batuta("task", "delete", "--project", "examples", "--yes").code == 0
    assert [each.delete.task_id for each in server.state.asked[-1].changes] == [ID, OTHER]


def test_a_dry_run_changes_nothing(batuta: Any, server: Any, two: Any) -> None:
    done = batuta("task", "delete", "--project", "examples", "--dry-run")
    assert done.code == 0
    assert "2 tasks would be changed; nothing was" in done.err
    assert not [each for each in server.state.asked if isinstance(each, tasks.BatchChangeTasksRequest)]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["abort"], "say which tasks"),
        (["abort", ID, "--project", "x"], "and not by both"),
        (["tag", ID], "say which tags"),
        (["move", ID], "--to"),
        (["list", "--param", "lr"], "--param is GROUP/NAME"),
        (["list", "--param", "Args/lr<=x"], "'x' is no number"),
        (["list", "--metric", "loss/train=1"], "compared by <= or >="),
        (["list", "--sort", "nonsense"], "--sort knows create_time"),
        (["list", "--sort", "metric:loss"], "--sort names metric:GROUP/NAME"),
        (["edit", ID], "say what to change"),
        (["edit", ID, "--set", "lr=1"], "SECTION/NAME"),
        (["edit", ID, "--set", "Args/lr"], "SECTION/NAME=VALUE"),
        (["edit", ID, "--docker-args", "'"], "--docker-args"),
        (["edit", ID, "--memory", "lots"], "must be a size"),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_line(
    batuta: Any, two: Any, argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    done = batuta("task", *argv)
    assert done.code == 2
    assert words in done.err + capsys.readouterr().err


def test_every_flag_of_a_filter_and_an_order_reaches_the_server(batuta: Any, server: Any) -> None:
    argv = "--project p --subprojects --match ^x --type training --any-tag a --no-tag b --owner ada --parent t".split()
    argv += ["--param", "Args/opt=adam", "--param", "Args/lr<=0.1", "--param", "Args/a"]
    argv += ["--metric", "max:acc/test>=0.9", "--metric", "loss/train", "--all", "--newer-than", "1h"]
    assert batuta("task", "list", *argv, "--sort", "+metric:min:loss/train").code == 0
    asked = server.state.asked[0]
    wanted = asked.filter
    assert (wanted.include_subprojects, wanted.name_regex, wanted.owners, wanted.parent_task_id) == (
        True,
        "^x",
        ["ada"],
        "t",
    )
    assert (list(wanted.any_tags), list(wanted.no_tags), list(wanted.types)) == (["a"], ["b"], [1])
    assert [each.WhichOneof("test") for each in wanted.parameters] == ["equals", "between", None]
    assert wanted.parameters[1].between == tasks.NumberRange(high=0.1)
    assert wanted.metrics[0] == tasks.MetricCondition(
        metric="acc", variant="test", summary=tasks.METRIC_SUMMARY_MAX, between=tasks.NumberRange(low=0.9)
    )
    assert wanted.archived == tasks.ARCHIVED_FILTER_INCLUDE
    assert getattr(wanted.create_time, "from").seconds > 0
    assert asked.order_by == tasks.TaskOrder(
        field=tasks.TASK_ORDER_FIELD_METRIC,
        group="loss",
        name="train",
        summary=tasks.METRIC_SUMMARY_MIN,
        ascending=True,
    )


def test_a_draft_is_edited_as_it_was_read(batuta: Any, server: Any, two: list[tasks.Task], tmp_path: Path) -> None:
    two[0].spec.parameters.add(section="Args", name="lr", value="0.1", type=types.PARAMETER_TYPE_FLOAT)
    two[0].spec.parameters.add(section="Args", name="old", value="1")
    (tmp_path / "r.txt").write_text("# packages\nnumpy==2.0\n\n")
    argv = ["--set", "Args/lr=0.5", "--set", "General/new=a=b", "--unset", "Args/old", "--image", "img:1"]
    argv += ["--docker-args", "--ipc=host -e 'A=b c'", "--gpus", "2", "--memory", "16g", "--commit", "ab" * 20]
    done = batuta("task", "edit", ID, *argv, "--requirements", str(tmp_path / "r.txt"))
    assert done.text == f"Task {ID} is changed: source, environment, resources, parameters.\n"
    spec = two[0].spec
    assert [(each.section, each.name, each.value, each.type) for each in spec.parameters] == [
        ("Args", "lr", "0.5", types.PARAMETER_TYPE_FLOAT),
        ("General", "new", "a=b", 0),
    ]
    container = spec.environment.container
    assert (container.image, list(container.arguments)) == ("img:1", ["--ipc=host", "-e", "A=b c"])
    assert list(spec.environment.requirements) == ["numpy==2.0"]
    assert (spec.resources.gpus, spec.resources.memory_bytes) == (2, 16 << 30)
    asked = server.state.asked[-1]
    assert asked.task.etag == "7"
    assert asked.request_id


def test_a_parameter_that_is_not_there_cannot_be_removed(batuta: Any, two: Any) -> None:
    done = batuta("task", "edit", ID, "--unset", "Args/nothing")
    assert done.code == 1
    assert "has no parameter 'Args/nothing'" in done.err


def test_several_tasks_are_shown_in_a_table(batuta: Any, two: Any) -> None:
    lines = batuta("task", "show", ID, OTHER).text.splitlines()
    assert [line.split()[0] for line in lines] == ["ID", ID, OTHER]


def test_a_watch_prints_changes_and_goes_on_after_a_lost_connection(batuta: Any, server: Any, two: Any) -> None:
    done = batuta("task", "watch", "--json")
    steps = [json.loads(line) for line in done.out.splitlines()]
    assert [step.get("gone_task_id") or step.get("synced") or step["task"]["id"] for step in steps] == [
        ID,
        OTHER,
        True,
        "gone",
    ]
    assert [asked.resume_token for asked in server.state.asked] == ["", "r1"]
    assert batuta("task", "watch").text.splitlines()[0] == f"{ID}  DRAFT  examples/digits"
