from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from batuta_courier import layout
from batuta_courier.ledger import Ledger
from batuta_courier.leftovers import KEEP_SECONDS, leftovers, prune
from batuta_courier.process import alive, start_time
from batuta_courier.producer import ProducerSpool
from batuta_courier.room import size_bytes
from batuta_courier.tails import tails
from batuta_rpc.clock import SystemClock
from batuta_rpc.testing import FakeClock

RUN = layout.RunInfo("t", 1, "api", layout.LOCAL, 4_000_000)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    layout.create(tmp_path / "t.1", RUN)
    return tmp_path / "t.1"


def test_a_spool_is_its_owners_alone_and_says_whose_run_it_is(spool: Path) -> None:
    assert spool.stat().st_mode & 0o777 == 0o700
    assert layout.read_run(spool) == RUN
    assert layout.read_close(spool) is None
    assert layout.read_acks(spool) == layout.Acks()


def test_nothing_is_on_disk_before_the_first_event(spool: Path) -> None:
    producer = ProducerSpool(spool, SystemClock(), "x")
    assert list(layout.producers(spool)) == []
    producer.scalars.report("a", "b", 1.0, 1)
    assert [folder.name for folder in layout.producers(spool)] == [f"{os.getpid()}-x"]


def test_a_writer_wakes_a_listening_courier_and_is_not_held_up_by_a_deaf_one(spool: Path) -> None:
    clock = FakeClock()
    producer = ProducerSpool(spool, clock, "x")
    producer.console.write(b"nobody listens\n")
    fifo = os.open(spool / "wake", os.O_RDONLY | os.O_NONBLOCK)
    for _ in range(100_000):  # more than a pipe holds
        clock.advance(1.0)
        producer.wake()
    assert os.read(fifo, 1)
    os.close(fifo)
    clock.advance(1.0)
    producer.console.write(b"gone again\n")
    assert (spool / "console.log").read_bytes() == b"nobody listens\ngone again\n"


def test_a_full_spool_drops_output_and_says_so_where_the_gap_is(spool: Path) -> None:
    layout.create(spool, replace(RUN, spool_bytes=3_000_000))
    producer = ProducerSpool(spool, SystemClock(), "x")
    line = b"x" * 999 + b"\n"
    for _ in range(10_000):
        producer.console.write(line)
    data = (spool / "console.log").read_bytes()
    assert len(data) < 10_000_000
    assert data.endswith(b"\nbatuta: the spool is full, output is dropped from here\n")
    assert producer.console.dropped > 0


def test_text_whose_folder_cannot_be_made_is_counted_and_the_gap_is_noted(spool: Path) -> None:
    producer = ProducerSpool(spool, SystemClock(), "x")
    (spool / producer.name).write_bytes(b"in the way")
    producer.text(b"lost\n")
    (spool / producer.name).unlink()
    producer.text(b"kept\n")
    text = (spool / producer.name / "text.log").read_bytes()
    assert text == b"\nbatuta: 5 bytes of output are missing here (File exists)\nkept\n"


def test_scalars_stop_at_the_limit_of_the_spool(spool: Path) -> None:
    said: list[str] = []
    layout.create(spool, replace(RUN, spool_bytes=2_000_000))
    producer = ProducerSpool(spool, SystemClock(), "x", notify=said.append)
    for at in range(200_000):
        producer.scalars.report("a", "b", 1.0, at)
    assert size_bytes(spool) < 4_000_000
    assert producer.scalars.dropped > 0
    assert len(said) == 1


def test_tails_are_the_ends_of_every_stream(spool: Path) -> None:
    producer = ProducerSpool(spool, SystemClock(), "x")
    assert tails(spool) == []
    producer.console.write(b"12345")
    producer.text(b"123")
    producer.scalars.report("a", "b", 1.0, 1)
    assert set(tails(spool)) == {
        ("console", "log", 5),
        (producer.name, "scalars", 1),
        (f"{producer.name}.text", "log", 3),
    }


def test_damaged_acks_are_no_acks(spool: Path) -> None:
    (spool / "ack.json").write_text('{"producers": ')
    assert layout.read_acks(spool) == layout.Acks()


def test_a_process_is_known_by_its_pid_and_the_time_it_started() -> None:
    assert alive(os.getpid(), start_time(os.getpid()))
    assert not alive(os.getpid(), start_time(os.getpid()) + 1)
    assert not alive(0, 0)


def test_spools_of_living_scripts_of_other_servers_and_those_given_up_are_not_left_over(tmp_path: Path) -> None:
    me = os.getpid()
    layout.create(tmp_path / "lives.1", layout.RunInfo("lives", 1, "api", layout.LOCAL, me, start_time(me)))
    layout.create(tmp_path / "dead.1", layout.RunInfo("dead", 1, "api", layout.LOCAL, me, start_time(me) + 1))
    layout.create(tmp_path / "other.1", layout.RunInfo("other", 1, "elsewhere", layout.LOCAL, 0))
    layout.create(tmp_path / "agent.1", layout.RunInfo("agent", 1, "api", layout.AGENT, 0))
    layout.create(tmp_path / "refused.1", layout.RunInfo("refused", 1, "api", layout.LOCAL, 0))
    layout.write_acks(tmp_path / "refused.1", layout.Acks(error="stale"))
    (tmp_path / "no spool").mkdir()
    assert [run.task_id for _, run in leftovers(tmp_path, "api")] == ["dead"]


def test_a_spool_that_was_refused_is_kept_a_week(tmp_path: Path) -> None:
    layout.create(tmp_path / "t.1", RUN)
    layout.write_acks(tmp_path / "t.1", layout.Acks(error="stale"))
    written = (tmp_path / "t.1" / "ack.json").stat().st_mtime
    now = datetime.fromtimestamp(written, UTC)
    prune(tmp_path, FakeClock(now + timedelta(seconds=KEEP_SECONDS - 60)))
    assert (tmp_path / "t.1").exists()
    prune(tmp_path, FakeClock(now + timedelta(seconds=KEEP_SECONDS + 60)))
    assert not (tmp_path / "t.1").exists()


def test_a_refused_spool_that_is_tried_again_and_refused_again_is_kept_no_longer(tmp_path: Path) -> None:
    layout.create(tmp_path / "t.1", RUN)
    clock = FakeClock()
    Ledger(tmp_path / "t.1", clock).finish(done=False, error="stale")
    clock.advance(KEEP_SECONDS - 60)
    Ledger(tmp_path / "t.1", clock).finish(done=False, error="stale")
    prune(tmp_path, clock)
    assert (tmp_path / "t.1").exists()
    clock.advance(120)
    prune(tmp_path, clock)
    assert not (tmp_path / "t.1").exists()
