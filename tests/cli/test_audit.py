"""`batuta audit …` against a server."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from batuta_proto.audit import v1 as audit

AT = Timestamp(seconds=1_770_000_000)


def test_changes_are_shown_over_pages_with_who_where_and_what(batuta: Any, server: Any) -> None:
    server.state.changes = [
        audit.Change(
            id=9 - number,
            time=AT,
            subject="ada",
            peer="10.0.0.7",
            method="batuta.tasks.v1.TaskService/AbortTask",
            resource_type="task",
            resource_id=f"t{number}",
            request='{"message": "enough"}',
        )
        for number in range(5)
    ]
    lines = batuta("audit", "changes", "--by", "ada", "--of", "t1", "--call", "AbortTask").text.splitlines()
    assert lines[0].split() == ["TIME", "WHO", "FROM", "CALL", "OF", "OUTCOME", "REQUEST"]
    assert len(lines) == 6
    assert lines[1].split()[2:] == ["ada", "10.0.0.7", "AbortTask", "task", "t0", "-", '{"message":', '"enough"}']
    wanted = server.state.asked[0].filter
    assert (wanted.subject, wanted.resource_id, wanted.method) == ("ada", "t1", "AbortTask")
    assert not wanted.HasField("from")
    batuta("audit", "changes", "--newer-than", "1h")
    assert server.state.asked[-1].filter.HasField("from")
    assert len(json.loads(batuta("audit", "changes", "--limit", "3", "--json").out)["changes"]) == 3


def test_refusals_are_shown_with_their_number(batuta: Any, server: Any) -> None:
    server.state.refusals = [
        audit.Refusal(
            time=AT,
            subject="attempt:t1/1",
            method="batuta.logs.v1.LogService/AppendLog",
            reason="STALE_ATTEMPT",
            task_id="t1",
            attempt=1,
            message="attempt 1 is closed",
            count=40,
        )
    ]
    (_, line) = batuta("audit", "refusals", "--task", "t1").text.splitlines()
    assert line.split()[3:] == [
        "40",
        "attempt:t1/1",
        "AppendLog",
        "STALE_ATTEMPT",
        "t1",
        "1",
        *"attempt 1 is closed".split(),
    ]
    assert json.loads(batuta("audit", "refusals", "--json").out)["refusals"][0]["count"] == "40"
