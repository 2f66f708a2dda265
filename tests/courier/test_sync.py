"""`batuta sync` as people run it, against a server of ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from batuta_courier import layout, syncing
from batuta_courier.lock import hold
from batuta_courier.producer import ProducerSpool
from batuta_courier.testing import FakeApi
from batuta_rpc.clock import SystemClock

GONE = 4_000_000
"""A pid that no script has."""


def left(home: Path, api: str, task: str, mode: str = layout.LOCAL, pid: int = GONE) -> Path:
    """A spool with one line and ten points that nobody has sent."""
    folder = layout.spool_root(home) / f"{task}.1"
    layout.create(folder, layout.RunInfo(task, 1, api, mode, pid))
    (folder / "console.log").write_bytes(b"line\n")
    producer = ProducerSpool(folder, SystemClock(), "x")
    for at in range(10):
        producer.scalars.report("loss", "train", at / 2, at)
    producer.close()
    return folder


def sync(environment: dict[str, str], *words: str, answer: str = "") -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, spools, and what stood on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "batuta", "sync", "--json", *words],
        env=environment,
        input=answer,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)["spools"] if done.stdout else [], done.stderr


def test_what_is_left_of_a_local_run_is_sent_the_task_ends_and_the_spool_goes(
    api: FakeApi, home: Path, environment: dict[str, str]
) -> None:
    api.state.add_task("t", local=True)
    folder = left(home, api.address, "t")
    code, before, _ = sync(environment, "--dry-run")
    assert code == 1
    assert [(each["state"], each["log_bytes"], each["points"]) for each in before] == [("waiting", 5, 10)]
    code, after, said = sync(environment)
    assert (code, [each["state"] for each in after]) == (0, ["whole"]), said
    assert "sending task t (attempt 1), 5 B of log and 10 points" in said
    assert api.state.log("t") == b"line\n"
    assert len(api.state.points("t")) == 10
    assert not folder.exists()
    assert sync(environment)[:2] == (0, [])


def test_a_server_that_is_away_costs_the_time_that_was_given_and_nothing_else(
    home: Path, environment: dict[str, str]
) -> None:
    environment["BATUTA_API"] = "http://127.0.0.1:9"
    environment["BATUTA_ACCESS_KEY"], environment["BATUTA_SECRET_KEY"] = "k", "s"
    folder = left(home, "http://127.0.0.1:9", "t")
    code, found, _ = sync(environment, "--timeout", "1s")
    assert code == 1
    assert [each["state"] for each in found] == ["waiting"]
    assert found[0]["why"].startswith("http://127.0.0.1:9 does not answer")
    assert found[0]["why"].endswith("nothing is lost: run `batuta sync` again when it does")
    assert folder.exists()


def test_a_spool_of_another_server_says_which_login_it_needs(
    api: FakeApi, home: Path, environment: dict[str, str]
) -> None:
    left(home, "http://elsewhere:8480", "t")
    code, found, _ = sync(environment)
    assert code == 1
    assert "no credential for http://elsewhere:8480" in found[0]["why"]
    assert "batuta init" in found[0]["why"]


def test_what_is_being_sent_or_was_made_offline_is_left_alone(
    api: FakeApi, home: Path, environment: dict[str, str]
) -> None:
    busy = left(home, api.address, "busy")
    left(home, "", "offline-1", layout.OFFLINE)
    with hold(busy / "courier.lock"):
        code, found, _ = sync(environment)
    assert (code, [each["state"] for each in found]) == (0, ["busy", "offline"])
    assert "it cannot be sent: made without a server" in found[1]["why"]


@pytest.mark.parametrize(("answer", "goes"), [("y\n", True), ("n\n", False)])
def test_what_the_server_refused_is_deleted_when_somebody_says_so(
    api: FakeApi, home: Path, environment: dict[str, str], answer: str, goes: bool
) -> None:
    folder = left(home, api.address, "t")
    layout.write_acks(folder, layout.Acks(error="attempt 1 of task t is over"))
    code, _, said = sync(environment, "--delete", answer=answer)
    assert "attempt 1 of task t is over" in said
    assert (code, folder.exists()) == ((0, False) if goes else (1, True))


def test_a_dry_run_deletes_nothing(api: FakeApi, home: Path, environment: dict[str, str]) -> None:
    folder = left(home, api.address, "t")
    layout.write_acks(folder, layout.Acks(error="refused"))
    code, _, said = sync(environment, "--dry-run", "--delete", "--yes")
    assert code == 2
    assert "give one of the two" in said
    assert folder.exists()


def test_what_a_courier_has_taken_up_since_it_was_listed_is_not_deleted(api: FakeApi, home: Path) -> None:
    folder = left(home, api.address, "t")
    layout.write_acks(folder, layout.Acks(error="refused"))
    (listed,) = syncing.held(folder.parent)
    with hold(folder / "courier.lock"):
        assert not syncing.delete(listed)
    assert folder.exists()
    assert syncing.delete(listed)
    assert not folder.exists()


def test_what_an_agent_keeps_is_sent_with_a_persons_login(
    api: FakeApi, home: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    api.state.add_task("t", local=False)
    attempt = tmp_path / "agent" / "attempts" / "t.1"
    layout.create(attempt / "spool", layout.RunInfo("t", 1, api.address, layout.AGENT))
    (attempt / "spool" / "console.log").write_bytes(b"late\n")
    layout.write_close(attempt / "spool", layout.Close())
    code, found, said = sync(environment, "--agent-data", str(tmp_path / "agent"))
    assert (code, [each["state"] for each in found]) == (0, ["whole"]), said
    assert api.state.log("t") == b"late\n"


def test_what_an_agent_has_not_ended_is_sent_as_far_as_it_goes_and_stays_open(
    api: FakeApi, home: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    api.state.add_task("t", local=False)
    spool = tmp_path / "agent" / "attempts" / "t.1" / "spool"
    layout.create(spool, layout.RunInfo("t", 1, api.address, layout.AGENT))
    (spool / "console.log").write_bytes(b"so far\n")
    code, found, said = sync(environment, "--agent-data", str(tmp_path / "agent"), "--timeout", "1h")
    assert (code, [each["state"] for each in found]) == (0, ["whole"]), said
    assert api.state.log("t") == b"so far\n"
    assert not layout.read_acks(spool).done


def test_a_folder_that_is_no_agents_is_named(home: Path, environment: dict[str, str], tmp_path: Path) -> None:
    code, _, said = sync(environment, "--agent-data", str(tmp_path))
    assert code == 1
    assert f"{tmp_path} is no agent's state folder" in said
