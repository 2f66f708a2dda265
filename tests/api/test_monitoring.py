"""The numbers of both services while a task goes through them; dashboard and alerts name only numbers that exist."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from batuta_api.__main__ import build as build_api
from batuta_chassis.testing import Running, running
from batuta_proto.metrics import v1 as metrics
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_queue.__main__ import build as build_queue
from batuta_queue.testing_agent import FakeAgent

ROOT = Path(__file__).parents[2]
FILES = ("grafana-dashboard.json", "alerts.yaml")
_SUFFIXES = re.compile(r"_(bucket|count|sum|total)$")
_KNOWN = {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"}


async def page(service: Running) -> str:
    host, _, port = service.process.metrics_address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()
    assert answer.startswith("HTTP/1.1 200")
    return answer


def value(text_page: str, name: str, **labels: str) -> float:
    for line in text_page.splitlines():
        found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if found and found[1] == name and all(f'{key}="{want}"' in (found[2] or "") for key, want in labels.items()):
            return float(found[3])
    raise AssertionError(f"no {name} {labels} in\n{text_page}")


async def test_a_task_that_goes_through_both_services_shows_in_their_numbers(tmp_path: Path, make_stubs: Any) -> None:
    keys, listen = tmp_path / "keys", "127.0.0.1:0"
    async with running(build_queue, tmp_path / "queue", service="queue", keys_dir=keys, metrics_listen=listen) as queue:
        settings: dict[str, Any] = {"queue_endpoint": queue.settings.endpoint, "keys_dir": keys}
        async with running(build_api, tmp_path / "api", service="api", metrics_listen=listen, **settings) as api:
            member = make_stubs(api)
            found = await member.queues.GetQueue(queues.GetQueueRequest(display_name="default"))
            agent = FakeAgent(queue.channel("agent", subject="agent:a"), [found.queue.id], "a")
            await agent.connect()
            await agent.beat()
            task, _ = await member.queued(source=tasks.Source(script="x"))
            assignment = await agent.next("assignment")
            run = member.on(api.channel(token=assignment.attempt_token))
            await run.write_log(task.id, 1, b"12345")
            column = metrics.ScalarColumn(metric="m", variant="v", values=[1.0], iterations=[1], time_unix_millis=[1])
            await run.metrics.AppendScalars(
                metrics.AppendScalarsRequest(
                    task_id=task.id, attempt=1, producer="p", first_sequence=1, last_sequence=1, columns=[column]
                )
            )
            await agent.accept(assignment)
            await agent.report(assignment.ref, types.ATTEMPT_PHASE_RUNNING)
            await member.until(task.id, lambda seen: seen.status.HasField("start_time"))
            seen_queue, seen_api = await page(queue), await page(api)
    assert value(seen_queue, "batuta_queue_entries", queue="default", state="running") == 1
    assert value(seen_queue, "batuta_agents", state="online") == 1
    assert value(seen_queue, "batuta_sessions") == value(seen_queue, "batuta_leases") == 1
    assert value(seen_queue, "batuta_dispatch_seconds_count") == 1
    assert value(seen_queue, "batuta_event_log_position") >= 3
    assert value(seen_api, "batuta_event_cursor_position") >= 3
    assert value(seen_api, "batuta_event_lag_seconds_count") >= 3
    assert value(seen_api, "batuta_queue_link_up") == 1
    assert value(seen_api, "batuta_log_bytes_total") == 5
    assert value(seen_api, "batuta_scalar_bytes_total") > 0
    assert value(seen_api, "batuta_outbox_messages") >= 0
    assert value(seen_api, "batuta_database_commit_seconds_count") > 0
    assert value(seen_api, "batuta_rpc_total", method="batuta.tasks.v1.TaskService/EnqueueTask", code="OK") == 1
    exposed = {_SUFFIXES.sub("", line.split("{")[0].split(" ")[0]) for line in (seen_queue + seen_api).splitlines()}
    exposed |= {"batuta_rpc_refused", "batuta_rpc_deprecated"}  # none yet
    for name in FILES:
        named = set(re.findall(r"\b(?:batuta|process)_\w+", (ROOT / "deploy/monitoring" / name).read_text()))
        assert len(named) > 10 or name.endswith("yaml")
        assert not {each for each in named if _SUFFIXES.sub("", each) not in exposed | _KNOWN}, name


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    board = json.loads((ROOT / "deploy/monitoring/grafana-dashboard.json").read_text())
    panels = [each for each in board["panels"] if each["type"] != "row"]
    assert len({each["id"] for each in board["panels"]}) == len(board["panels"])
    assert all(target["expr"].count("(") == target["expr"].count(")") for each in panels for target in each["targets"])
    assert all(each["gridPos"]["x"] + each["gridPos"]["w"] <= 24 for each in panels)


def test_every_alert_says_what_to_do() -> None:
    rules = (ROOT / "deploy/monitoring/alerts.yaml").read_text().split("- alert: ")[1:]
    assert len(rules) > 8
    for rule in rules:
        assert re.search(r"severity: (page|ticket)", rule), rule
        assert "summary: " in rule
        assert "action: " in rule
