"""`batuta agent show|fleet|drain|undrain|declare-lost` and `batuta queue release` against a server."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        """They are there."""
        return True


@pytest.fixture(autouse=True)
def some_agents(server: Any) -> None:
    online = agents.Agent(
        id="box:0", state=agents.AGENT_STATE_ONLINE, queue_names=["default"], max_assignments=2, host="box"
    )
    offline = agents.Agent(id="box:1", state=agents.AGENT_STATE_OFFLINE, max_assignments=1)
    offline.last_heartbeat_time.FromSeconds(1_770_000_000)
    offline.assignments.add(task_id="t1", attempt=3)
    server.state.agents = [online, offline]


def test_an_agent_is_shown_with_what_it_runs_and_why_it_gets_nothing(batuta: Any, server: Any) -> None:
    server.state.agents[1].unhealthy_reason = "GPU 0 fell off the bus"
    text = batuta("agent", "show", "box:1").text
    assert "state      OFFLINE,unhealthy" in text
    assert "GPU 0 fell off the bus" in text
    assert text.splitlines()[-1].split() == ["t1", "3", "-"]
    assert json.loads(batuta("agent", "show", "box:1", "--json").out)["id"] == "box:1"


def test_an_unknown_agent_says_where_to_look(batuta: Any) -> None:
    for words in (["show"], ["drain"], ["undrain"], ["declare-lost", "--yes"]):
        done = batuta("agent", *words, "nobody")
        assert done.code == 1
        assert done.err == "batuta: there is no agent 'nobody'. `batuta agent list` shows the agents.\n"


def test_an_agent_is_drained_with_reason_and_deadline_and_undrained(batuta: Any, server: Any) -> None:
    done = batuta("agent", "drain", "box:0", "--reason", "new disks", "--deadline", "2h")
    assert done.code == 0
    assert "ONLINE,drained" in done.text
    drain = server.state.agents[0].drain
    assert drain.deadline.ToMilliseconds() == batuta.clock.unix_millis() + 7_200_000
    assert f"what runs is cancelled at {drain.deadline.ToDatetime():%Y-%m-%d %H:%M:%S}Z: new disks" in done.text
    assert "ONLINE,drained" in batuta("agent", "list").text
    assert "drain" not in json.loads(batuta("agent", "undrain", "box:0", "--json").out)


@pytest.mark.parametrize("time", ["2", "h", "2w", "-1h", "400d", ""])
def test_a_deadline_that_is_no_time_is_wrong_usage(batuta: Any, time: str) -> None:
    assert batuta("agent", "drain", "box:0", f"--deadline={time}").code == 2


def test_declaring_an_agent_lost_shows_what_is_lost_and_asks(batuta: Any, server: Any) -> None:
    refused = batuta("agent", "declare-lost", "box:1", stdin=Terminal("n\n"))
    assert (refused.code, server.state.asked) == (1, [])
    assert "was last heard 2026-02-02 02:40:00Z; 1 attempt is lost" in refused.err
    assert "t1" in refused.err
    assert refused.err.endswith("batuta: nothing was changed.\n")
    done = batuta("agent", "declare-lost", "box:1", "--reason", "burnt", "--explained", stdin=Terminal("y\n"))
    assert (done.code, done.text) == (0, "Agent 'box:1' is declared lost; 1 attempt is lost by this.\n")
    assert (server.state.asked[-1].reason, server.state.asked[-1].explained) == ("burnt", True)


def test_where_nobody_can_be_asked_declaring_an_agent_lost_needs_yes(batuta: Any, server: Any) -> None:
    done = batuta("agent", "declare-lost", "box:1")
    assert (done.code, server.state.asked) == (2, [])
    assert "add --yes" in done.err
    answer = json.loads(batuta("agent", "declare-lost", "box:1", "--yes", "--json").out)
    assert answer["lost_count"] == 1


def test_an_agent_that_is_connected_is_not_lost(batuta: Any) -> None:
    done = batuta("agent", "declare-lost", "box:0", "--yes")
    assert (done.code, done.err) == (1, "batuta: agent box:0 is connected, so it is not lost.\n")


def test_the_fleet_says_when_lost_work_is_held_back(batuta: Any, server: Any) -> None:
    server.state.fleet = agents.GetFleetResponse(online_count=2, vanished_count=4)
    quiet = batuta("agent", "fleet")
    assert (quiet.text.split(), quiet.err) == (["online", "2", "vanished", "4"], "")
    server.state.fleet.mass_loss.held_back_count = 3
    server.state.fleet.mass_loss.expire_time.FromSeconds(1_770_000_000)
    for words in (["fleet"], ["list"]):
        done = batuta("agent", *words)
        assert done.code == 0
        assert "many agents are gone at once (4 vanished, 2 online" in done.err
        assert "at most until 2026-02-02 02:40:00Z" in done.err
    assert json.loads(batuta("agent", "fleet", "--json").out)["mass_loss"]["held_back_count"] == 3


@pytest.mark.parametrize("name", ["e1", "t1"])
def test_a_held_entry_is_released_by_its_own_id_or_its_tasks(batuta: Any, server: Any, name: str) -> None:
    held = queues.Entry(id="e1", task_id="t1", state=queues.ENTRY_STATE_HELD, hold_reason="lost on two agents")
    held.infrastructure_losses = 2
    server.state.entries = [held]
    server.state.queues = [queues.Queue(id="a" * 32, display_name="default", status=queues.QueueStatus(held_count=1))]
    server.state.tasks["t1"] = tasks.Task(id="t1", status=tasks.TaskStatus(queue_name="default"))
    shown = batuta("queue", "show", "default").text
    assert "lost on two agents" in shown
    assert "2 lost" in shown
    assert "held     1" in shown
    done = batuta("queue", "release", name)
    assert (done.code, done.text) == (0, "Entry e1 of task t1 is WAITING.\n")


def test_what_cannot_be_released_says_why(batuta: Any, server: Any) -> None:
    server.state.tasks["t1"] = tasks.Task(id="t1")
    nothing = batuta("queue", "release", "t1")
    assert (nothing.code, nothing.err) == (
        1,
        "batuta: nothing of task t1 is held; `batuta task show t1` says where it is.\n",
    )
    unknown = batuta("queue", "release", "x")
    assert unknown.code == 1
    assert "'x' is the id of no entry and of no task" in unknown.err
