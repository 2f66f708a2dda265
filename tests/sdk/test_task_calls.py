from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from batuta import Task, TaskTypes, _init, _runtime
from batuta_courier.testing import FakeApi
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.errors import QueueNotFound, TaskNotFound


@pytest.fixture(autouse=True)
def connected(api: FakeApi, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This test process uses the fake server, and has no run of its own."""
    for name in ("BATUTA_TASK_ID", "BATUTA_PARENT_SPOOL", "BATUTA_API"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(_init, "_servers", [])
    monkeypatch.setattr(_runtime.process, "run", None)


@pytest.fixture
def draft(api: FakeApi) -> tasks.Task:
    task = api.state.add_task("t")
    task.display_name, task.spec.project_name = "first", "digits"
    task.status.state, task.status.attempt_open = tasks.TASK_STATE_DRAFT, False
    task.tags.append("mine")
    return task


def test_a_task_is_found_by_id_by_name_and_by_tag(draft: tasks.Task) -> None:
    for found in (
        Task.get_task("t"),
        Task.get_task(project_name="digits", task_name="first"),
        Task.get_task(task_name="first"),
        Task.get_task(tags=["mine"]),
    ):
        assert found is not None
        assert (found.id, found.name, found.status, found.get_project_name()) == ("t", "first", "created", "digits")
    assert Task.get_task(task_name="no such") is None


def test_a_missing_id_is_an_error(api: FakeApi) -> None:
    with pytest.raises(TaskNotFound, match="no task x"):
        Task.get_task("x")


def test_a_clone_is_a_draft_with_the_same_parameters_that_can_be_changed_and_queued(draft: tasks.Task) -> None:
    source = Task.get_task("t")
    assert source is not None
    source.set_parameters({"Args/lr": 0.5, "steps": 3}, **{"General/on": True})
    clone = Task.clone(source, name="second")
    assert clone.name == "second"
    assert clone.get_parameters() == {"Args/lr": "0.5", "General/steps": "3", "General/on": "True"}
    assert clone.get_parameters(cast=True) == {"Args/lr": 0.5, "General/steps": 3, "General/on": True}
    clone.set_parameter("Args/lr", 0.25)
    assert clone.get_parameter("Args/lr", cast=True) == 0.25
    assert clone.get_parameter("Args/none", default="-") == "-"
    assert Task.enqueue(clone, queue_name="default").status == "queued"
    assert clone.status == "queued"
    assert source.get_parameter("Args/lr") == "0.5"


def test_an_unknown_queue_lists_the_queues(draft: tasks.Task) -> None:
    with pytest.raises(QueueNotFound, match="default, services"):
        Task.enqueue("t", queue_name="gpus")
    with pytest.raises(ValueError, match="queue_name or queue_id"):
        Task.enqueue("t")


def later(api: FakeApi, state: tasks.TaskState) -> Callable[[], None]:
    def change() -> None:
        with api.state.changed:
            api.state.task("t").status.state = state
            api.state.task("t").status.message = "exit code 3"
            api.state.changed.notify_all()

    return change


def test_waiting_ends_when_the_state_comes_and_nothing_is_polled(api: FakeApi, draft: tasks.Task) -> None:
    task = Task.get_task("t")
    assert task is not None
    timer = threading.Timer(0.3, later(api, tasks.TASK_STATE_COMPLETED))
    timer.start()
    task.wait_for_status(check_interval_sec=3600)
    assert task.status == "completed"


def test_waiting_for_a_task_that_fails_raises_why(api: FakeApi, draft: tasks.Task) -> None:
    task = Task.get_task("t")
    assert task is not None
    later(api, tasks.TASK_STATE_FAILED)()
    with pytest.raises(RuntimeError, match="task t is failed: exit code 3"):
        task.wait_for_status()


def test_waiting_outlives_a_server_that_goes_away(api: FakeApi, draft: tasks.Task) -> None:
    task = Task.get_task("t")
    assert task is not None

    def restart() -> None:
        api.stop()
        later(api, tasks.TASK_STATE_COMPLETED)()
        api.start()

    threading.Timer(0.3, restart).start()
    task.wait_for_status()


def test_what_is_only_for_the_own_task_says_so(draft: tasks.Task) -> None:
    task = Task.get_task("t")
    assert task is not None
    with pytest.raises(RuntimeError, match=r"Task\.init\(\)"):
        task.get_logger()
    with pytest.raises(RuntimeError, match=r"Task\.init\(\)"):
        task.connect({})


def test_reported_scalars_come_back_by_title_and_series(api: FakeApi, draft: tasks.Task) -> None:
    api.state.run("t", 1).points = [
        ("loss", "train", 0, 1, 0.5),
        ("loss", "train", 1, 2, 0.25),
        ("acc", "a", 0, 3, 1.0),
    ]
    task = Task.get_task("t")
    assert task is not None
    assert task.get_reported_scalars() == {
        "loss": {"train": {"name": "train", "x": [0, 1], "y": [0.5, 0.25]}},
        "acc": {"a": {"name": "a", "x": [0], "y": [1.0]}},
    }


def test_the_public_names_are_these(api: FakeApi) -> None:
    import batuta

    assert sorted(batuta.__all__) == ["Logger", "Task", "TaskTypes"]
    assert str(TaskTypes.data_processing) == "data_processing"
    assert {each.name for each in TaskTypes} == {
        each.name[len("TASK_TYPE_") :].lower() for each in tasks.TaskType.DESCRIPTOR.values if each.number
    }
