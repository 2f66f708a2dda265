"""A disk that is full under a spool: a real one of 8 MB."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from batuta_courier import layout
from batuta_courier.producer import ProducerSpool
from batuta_courier.writing import LogWriter, Wakener
from batuta_rpc.clock import SystemClock

LINE = b"x" * 999 + b"\n"
RUN = layout.RunInfo("t", 1, "api", layout.LOCAL, 4_000_000)


@pytest.fixture
def disk(small_disk: Callable[[int], Path]) -> Path:
    """8 MB of memory."""
    return small_disk(8)


def missing(log: bytes) -> list[int]:
    return [int(count) for count in re.findall(rb"batuta: (\d+) bytes of output are missing here", log)]


def fill(path: Path) -> None:
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(65536)):
            pass
    assert os.statvfs(path).f_bavail == 0


def test_on_a_full_disk_the_console_gives_way_and_scalars_go_on(disk: Path) -> None:
    layout.create(disk / "t.1", RUN)
    said: list[str] = []
    producer = ProducerSpool(disk / "t.1", SystemClock(), "x", notify=said.append, records=1024)
    for at in range(20_000):
        producer.console.write(LINE)
        if at % 4 == 0:
            producer.scalars.report("loss", "train", 1.0, at)
    producer.close()
    log = (disk / "t.1" / "console.log").read_bytes()
    assert producer.scalars.dropped == 0
    assert said == []
    assert producer.console.dropped > 0
    assert log.count(LINE) * len(LINE) + producer.console.dropped == 20_000 * len(LINE)
    assert missing(log) == [producer.console.dropped]


def test_what_a_disk_without_any_place_lost_is_noted_where_it_is_missing(disk: Path) -> None:
    wakener = Wakener(disk, SystemClock())
    writer = LogWriter(disk / "console.log", wakener, lambda: True)
    writer.write(b"before\n")
    filler = disk / "filler"
    fill(filler)
    for _ in range(100):
        writer.write(LINE)  # the last page of the log takes some of it
    assert writer.dropped > 90_000
    os.unlink(filler)
    writer.write(b"after\n")
    writer.close()
    log = (disk / "console.log").read_bytes()
    assert missing(log) == [writer.dropped]
    assert b"(No space left on device)" in log
    assert log.startswith(b"before\n")
    assert log.endswith(b"\nafter\n")


def test_two_gaps_are_counted_each_for_itself(tmp_path: Path) -> None:
    room = [True]
    writer = LogWriter(tmp_path / "console.log", Wakener(tmp_path, SystemClock()), lambda: room[0])
    block = bytes(1024 * 1024)
    for has_room in (True, False, True, False, True):
        room[0] = has_room
        writer.write(block)
    writer.close()
    assert missing((tmp_path / "console.log").read_bytes()) == [len(block), len(block)]
