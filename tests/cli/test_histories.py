"""`batuta queue history` and `batuta agent history` against a server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batuta._cli.sparkline import bars
from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues

NOON = 1_770_033_600_000


@pytest.fixture(autouse=True)
def some_history(server: Any) -> None:
    server.state.queues = [queues.Queue(id="a" * 32, display_name="gpu")]
    server.state.agents = [agents.Agent(id="box:0")]
    for minute, waiting in ((0, 1), (1, 4), (3, 8)):
        point = queues.QueuePoint(
            time_unix_millis=NOON + minute * 60_000, waiting_mean=waiting, waiting_max=waiting + 1
        )
        server.state.queue_points.append(point)
    server.state.queue_points[1].started_count = 2
    server.state.queue_points[1].wait_p50_millis = 65_000
    server.state.queue_points[1].wait_max_millis = 130_000
    for step in range(2):
        point = agents.AgentPoint(time_unix_millis=NOON + step * 10_000, sample_count=1)
        for sample in (point.mean, point.max):
            sample.cpu_percent = 25 + 50 * step
            sample.memory_used_bytes, sample.memory_total_bytes = 2**30, 2**32
            sample.network_received_bytes_per_second = 2048
        gpu = agents.GpuSample(uuid="GPU-1", utilization_percent=100, power_milliwatts=312_500)
        point.gpus.add(mean=gpu, max=gpu)
        server.state.agent_points.append(point)


def rows(text: str) -> dict[str, list[str]]:
    """The cells of each row by its first one."""
    found = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]
    return {cells[0]: cells[1:] for cells in found}


def test_a_queue_is_plotted_with_its_lengths_and_waits(batuta: Any, server: Any) -> None:
    done = batuta("queue", "history", "gpu", "--since", "2h", "--points", "30")
    found = rows(done.text)
    assert found["METRIC"] == ["LAST", "MEAN", "MAX", "HISTORY"]
    assert found["waiting"] == ["8", "3.25", "9", "▂▅▁█"]
    assert found["begun"] == ["0", "0.5", "2", "▁█▁▁"]
    assert found["wait, p50"][:3] == ["1 min 5 s"] * 3
    assert found["wait, longest"][:3] == ["2 min 10 s"] * 3
    assert "2026-02-02 12:00:00Z to 2026-02-02 12:03:00Z, 1 min a bar" in done.err
    asked = server.state.asked[-1]
    assert (asked.queue_id, asked.max_points) == ("a" * 32, 30)
    assert batuta.clock.unix_millis() - asked.start_time.ToMilliseconds() >= 7_200_000
    answer = json.loads(batuta("queue", "history", "gpu", "--json").out)
    assert [point["waiting_max"] for point in answer["points"]] == ["2", "5", "9"]


def test_an_agent_is_plotted_with_its_machine_and_gpus(batuta: Any) -> None:
    found = rows(batuta("agent", "history", "box:0").text)
    assert found["cpu"] == ["75 %", "50 %", "75 %", "▃▇"]
    assert found["memory"] == ["1.0 GiB", "1.0 GiB", "1.0 GiB", "▃▃"]
    assert found["network in"][0] == "2.0 KiB/s"
    assert found["gpu 0"] == ["100 %", "100 %", "100 %", "██"]
    assert found["gpu 0 power"][0] == "312.5 W"
    assert found["gpu 0 heat"] == ["-", "-", "-", "-"]
    assert len(json.loads(batuta("agent", "history", "box:0", "--json").out)["points"]) == 2


def test_where_nothing_is_known_the_way_on_is_said(batuta: Any, server: Any) -> None:
    server.state.queue_points.clear()
    done = batuta("queue", "history", "gpu")
    assert (done.code, done.text, "--since" in done.err) == (0, "", True)
    stranger = batuta("agent", "history", "none")
    assert (stranger.code, "there is no agent 'none'" in stranger.err) == (1, True)


def test_bars_stand_on_zero_and_gaps_stay_empty() -> None:
    assert bars([0.0, 4.0, None, 8.0]) == "▁▅ █"
    assert bars([0.0, 0.0]) == "▁▁"
    assert bars([None]) == ""
    assert bars([250.0], top=100.0) == "█"
