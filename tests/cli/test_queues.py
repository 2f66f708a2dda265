"""`batuta queue …` and `batuta agent …` against a server."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks


@pytest.fixture(autouse=True)
def some_queues(server: Any) -> None:
    server.state.queues = [
        queues.Queue(id="a" * 32, display_name="default", status=queues.QueueStatus(waiting_count=2, agent_count=1)),
        queues.Queue(id="b" * 32, display_name="große Karten 猫"),
    ]


def test_queues_are_listed_with_their_counts(batuta: Any) -> None:
    lines = batuta("queue", "list").text.splitlines()
    assert lines[0].split() == ["NAME", "WAITING", "RUNNING", "AGENTS", "PAUSED", "ID"]
    assert lines[1].split() == ["default", "2", "0", "1", "-", "a" * 32]
    assert [each["display_name"] for each in json.loads(batuta("queue", "list", "--json").out)["queues"]] == [
        "default",
        "große Karten 猫",
    ]


def test_a_queue_is_made_once(batuta: Any) -> None:
    assert batuta("queue", "create", "night shift").code == 0
    done = batuta("queue", "create", "night shift")
    assert done.code == 1
    assert done.err == "batuta: a queue named 'night shift' is there already.\n"


def test_a_queue_is_shown_by_name_or_id_with_its_entries(batuta: Any, server: Any) -> None:
    server.state.entries = [
        queues.Entry(id="e0", task_id="t0", state=queues.ENTRY_STATE_HELD),
        queues.Entry(id="e1", task_id="t1", state=queues.ENTRY_STATE_WAITING, priority=7, place=1),
    ]
    server.state.entries[1].wait_time.FromMilliseconds(batuta.clock.unix_millis() - 250_000)
    for name in ("default", "a" * 32):
        text = batuta("queue", "show", name).text
        assert text.split()[:4] == ["name", "default", "id", "a" * 32]
        assert text.splitlines()[-2].split()[:3] == ["-", "t0", "HELD"]
        assert text.splitlines()[-1].split() == [
            "1",
            "t1",
            "WAITING",
            "7",
            "-",
            "-",
            "-",
            "4",
            "min",
            "10",
            "s",
            "-",
            "-",
        ]
    held = batuta("queue", "show", "default", "--state", "held").text
    assert ("t0" in held, "t1" in held) == (True, False)
    assert json.loads(batuta("queue", "show", "default", "--json").out)["entries"][1]["task_id"] == "t1"


def test_what_waits_is_moved_by_its_own_id_or_its_tasks(batuta: Any, server: Any) -> None:
    for number in (1, 2, 3):
        server.state.entries.append(queues.Entry(id=f"e{number}", task_id=f"t{number}", queue_id="a" * 32))
        server.state.tasks[f"t{number}"] = tasks.Task(id=f"t{number}", status=tasks.TaskStatus(queue_name="default"))

    def order() -> list[str]:
        return [each.task_id for each in server.state.entries]

    done = batuta("queue", "move", "t3", "--front")
    assert (done.code, done.text) == (0, "Task t3 is moved: queue 'default', priority 0.\n")
    assert order() == ["t3", "t1", "t2"]
    assert batuta("queue", "move", "e2", "--before", "t1").code == 0
    assert order() == ["t3", "t2", "t1"]
    assert json.loads(batuta("queue", "move", "t3", "--back", "--json").out)["id"] == "e3"
    assert order() == ["t2", "t1", "t3"]
    moved = batuta("queue", "move", "t1", "--to", "große Karten 猫")
    assert "queue 'große Karten 猫'" in moved.text
    assert batuta("queue", "move", "t1").code == 2


class Terminal(io.StringIO):
    """Somebody who can be asked."""

    def isatty(self) -> bool:
        return True


def fill(server: Any) -> None:
    for number in range(3):
        server.state.entries.append(queues.Entry(id=f"e{number}", task_id=f"t{number}", queue_id="a" * 32))
        server.state.tasks[f"t{number}"] = tasks.Task(id=f"t{number}", status=tasks.TaskStatus(queue_name="default"))


def test_a_queue_is_edited_field_by_field(batuta: Any, server: Any) -> None:
    done = batuta("queue", "edit", "default", "--rename", "gpu", "--description", "eight of them")
    assert (done.code, done.text) == (0, "Queue 'gpu' is changed.\n")
    assert list(server.state.asked[-1].update_mask.paths) == ["display_name", "description"]
    assert "eight of them" in batuta("queue", "show", "gpu").text
    policy = batuta("queue", "edit", "gpu", "--lease-policy", "keep", "--json")
    assert json.loads(policy.out)["spec"]["lease_policy"] == "LEASE_POLICY_KEEP"
    assert batuta("queue", "edit", "gpu").code == 2


def test_a_queue_is_cleared_part_by_part_once_somebody_agrees(batuta: Any, server: Any) -> None:
    fill(server)
    nobody = batuta("queue", "clear", "default")
    assert (nobody.code, "add --yes" in nobody.err) == (2, True)
    assert batuta("queue", "clear", "default", stdin=Terminal("n\n")).err.endswith("nothing was changed.\n")
    done = batuta("queue", "clear", "default", stdin=Terminal("y\n"))
    assert done.text == "Queue 'default' is cleared: 3 tasks are drafts again.\n"
    assert json.loads(batuta("queue", "clear", "default", "--yes", "--json").out) == {"removed_count": "0"}


def test_one_entry_is_removed_by_its_own_id_or_its_tasks(batuta: Any, server: Any) -> None:
    fill(server)
    assert batuta("queue", "remove", "t1").text == "Task t1 is out of its queue, and a draft again.\n"
    assert json.loads(batuta("queue", "remove", "e2", "--json").out)["task_id"] == "t2"
    assert [each.id for each in server.state.entries] == ["e0"]


def test_a_queue_is_deleted_once_somebody_agrees_and_by_force_if_it_is_not_empty(batuta: Any, server: Any) -> None:
    fill(server)
    assert batuta("queue", "delete", "default").code == 2
    full = batuta("queue", "delete", "default", "--yes")
    assert (full.code, "--force" in full.err) == (1, True)
    done = batuta("queue", "delete", "default", "--force", stdin=Terminal("y\n"))
    assert done.text == "Queue 'default' is deleted; 3 tasks are drafts again; 1 run on to their end.\n"
    assert "2 entries waiting, 0 running, 1 agents serve it" in done.err


def test_a_paused_queue_says_since_when_and_by_whom(batuta: Any) -> None:
    done = batuta("queue", "pause", "default")
    assert done.code == 0
    assert "Queue 'default' is paused since 2026-" in done.text
    assert "by ada" in batuta("queue", "show", "default").text
    assert "2026-" in batuta("queue", "list").text
    assert batuta("queue", "resume", "default").text == "Queue 'default' gives out what waits.\n"
    assert "2026-" not in batuta("queue", "list").text


def test_an_unknown_queue_lists_the_others(batuta: Any) -> None:
    done = batuta("queue", "show", "gpu")
    assert (done.code, done.err) == (1, "batuta: there is no queue 'gpu'; there are: default.\n")


def test_agents_are_listed_with_what_they_do(batuta: Any, server: Any) -> None:
    agent = agents.Agent(
        id="box:0", state=agents.AGENT_STATE_ONLINE, queue_ids=["a" * 32], queue_names=["default"], max_assignments=2
    )
    agent.assignments.add(task_id="t1", attempt=1)
    agent.gpus.add(display_name="NVIDIA H200")
    agent.gpus.add(display_name="NVIDIA H200")
    agent.telemetry.host.cpu_percent = 12.4
    agent.telemetry.host.memory_used_bytes = 3 * 2**30
    server.state.agents = [agent, agents.Agent(id="box:1", state=agents.AGENT_STATE_OFFLINE, max_assignments=1)]
    lines = batuta("agent", "list").text.splitlines()
    assert "box:0" in lines[1]
    for part in ("ONLINE", "default", "1/2", "12 %", "3.0 GiB", "2 × NVIDIA H200", "t1"):
        assert part in lines[1]
    assert "OFFLINE" in lines[2]
    assert json.loads(batuta("agent", "list", "--json").out)["agents"][1]["id"] == "box:1"


def test_a_join_token_is_printed_alone_and_its_use_beside_it(batuta: Any, server: Any) -> None:
    done = batuta("agent", "join-token", "--minutes", "60", "--comment", "rack7")
    assert (done.code, done.text) == (0, "bj_once\n")
    assert f"batuta agent start --queue default --api {server.api} --join-token TOKEN" in done.err
    assert "until 2026-02-02 02:40:00Z" in done.err
    assert "bj_once" not in done.err
    asked = server.state.asked[-1]
    assert (asked.ttl.seconds, asked.comment) == (3600, "rack7")
    assert json.loads(batuta("agent", "join-token", "--json").out) == {
        "join_token": "bj_once",
        "expire_time": "2026-02-02T02:40:00Z",
    }


@pytest.mark.parametrize("minutes", ["0", "1441", "x"])
def test_a_join_token_lives_a_day_at_most(batuta: Any, minutes: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert batuta("agent", "join-token", "--minutes", minutes).code == 2
    assert "argument --minutes: must be " in capsys.readouterr().err
