from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batuta_courier.scalars import NAME_CHARS, ScalarWriter
from batuta_courier.scalars_reader import Batch, ScalarReader, SpoolDamaged

StartScript = Callable[[str], subprocess.Popen[str]]


def read_all(folder: Path, limit: int = 7) -> list[tuple[str, str, int, int, float]]:
    reader = ScalarReader(folder)
    points: list[tuple[str, str, int, int, float]] = []
    after = 0
    while True:
        batch = reader.read(after, limit)
        if batch is None:
            assert reader.end() == after
            reader.close()
            return points
        assert batch.first == after + 1
        points += of(batch)
        assert len(points) == batch.last
        after = batch.last


def of(batch: Batch) -> list[tuple[str, str, int, int, float]]:
    return [
        (column.metric, column.variant, iteration, millis, value)
        for column in batch.columns
        for iteration, millis, value in zip(column.iterations, column.times, column.values, strict=True)
    ]


class Ticks:
    """A clock that counts its readings, each a millisecond after the last."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 1
        return self.now * 1_000_000


def test_what_was_reported_reads_back_exactly(tmp_path: Path) -> None:
    writer = ScalarWriter(tmp_path, Ticks())
    writer.report("loss", "train", 0.5, 0)
    writer.report("loss", "test", -math.inf, 1)
    writer.report("loss", "train", 1, -3)
    assert sorted(read_all(tmp_path)) == [
        ("loss", "test", 1, 2, -math.inf),
        ("loss", "train", -3, 3, 1.0),
        ("loss", "train", 0, 1, 0.5),
    ]


def test_nan_is_kept(tmp_path: Path) -> None:
    ScalarWriter(tmp_path, Ticks()).report("a", "b", math.nan, 0)
    assert math.isnan(read_all(tmp_path)[0][4])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(max_size=8), st.text(max_size=8), st.floats(allow_nan=False), st.integers(-(2**60), 2**60)),
        max_size=40,
    ),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_any_history_reads_back_over_any_rollover(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, str, float, int]], records: int, limit: int
) -> None:
    folder = tmp_path_factory.mktemp("p")
    writer = ScalarWriter(folder, Ticks(), records=records)
    for title, series, value, iteration in history:
        writer.report(title, series, value, iteration)
    expected = [
        (title or "unnamed", series or "unnamed", iteration, at + 1, value)
        for at, (title, series, value, iteration) in enumerate(history)
    ]
    assert sorted(read_all(folder, limit), key=lambda point: point[3]) == expected


def test_threads_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    writer = ScalarWriter(tmp_path, Ticks(), records=100)

    def report(thread: int) -> None:
        for at in range(2_000):
            writer.report(f"t{thread}", f"s{at % 3}", at, at)

    threads = [threading.Thread(target=report, args=(number,)) for number in range(6)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    got = sorted((metric, iteration) for metric, _, iteration, _, _ in read_all(tmp_path, 1_000))
    assert got == sorted((f"t{thread}", at) for thread in range(6) for at in range(2_000))


# The timers of the next two are the process's own, which the suite's limit of time for a test uses too: hence scripts.


def test_a_signal_handler_may_report_in_the_middle_of_a_report(start_script: StartScript, tmp_path: Path) -> None:
    script = start_script(
        "import pathlib, signal\n"
        "from batuta_courier.scalars import ScalarWriter\n"
        f"writer = ScalarWriter(pathlib.Path({str(tmp_path)!r}), lambda: 1, records=64)\n"
        "fired = 0\n"
        "def handler(*_):\n"
        "    global fired\n"
        "    fired += 1\n"
        "    writer.report('signal', 's', fired, fired)\n"
        "signal.signal(signal.SIGALRM, handler)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)\n"
        "for at in range(20_000):\n"
        "    writer.report('main', 's', at, at)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "writer.close()\n"
        "print(fired)\n"
    )
    fired = int(script.communicate(timeout=60)[0])
    points = read_all(tmp_path, 64)
    assert [at for metric, _, at, _, _ in points if metric == "main"] == list(range(20_000))
    assert sorted(at for metric, _, at, _, _ in points if metric == "signal") == list(range(1, fired + 1))
    assert fired > 0


def test_an_exception_thrown_into_a_report_leaves_no_hole(start_script: StartScript, tmp_path: Path) -> None:
    script = start_script(
        "import json, pathlib, signal\n"
        "from batuta_courier.scalars import ScalarWriter\n"
        "class Interrupt(Exception): pass\n"
        "def handler(*_): raise Interrupt\n"
        f"writer = ScalarWriter(pathlib.Path({str(tmp_path)!r}), lambda: 1, records=64)\n"
        "signal.signal(signal.SIGALRM, handler)\n"
        "done = []\n"
        "interrupted = 0\n"
        "for at in range(1, 20_001):\n"
        "    try:\n"
        "        signal.setitimer(signal.ITIMER_REAL, 0.000_02)  # once, somewhere in what follows\n"
        "        writer.report('main', 's', at, at)\n"
        "        done.append(at)\n"
        "        signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "    except Interrupt:\n"
        "        interrupted += 1\n"
        "print(json.dumps([interrupted, done]))\n"
    )
    interrupted, done = json.loads(script.communicate(timeout=60)[0])
    assert interrupted > 0
    stored = [at for _, _, at, _, _ in read_all(tmp_path, 64)]
    assert len(stored) == len(set(stored))
    assert not set(done) - set(stored)


def test_kill_minus_nine_of_the_writer_loses_nothing(start_script: StartScript, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    script = start_script(
        "import pathlib, os, signal\n"
        "from batuta_courier.scalars import ScalarWriter\n"
        f"writer = ScalarWriter(pathlib.Path({str(folder)!r}), lambda: 1, records=1000)\n"
        "for at in range(12345): writer.report('a', 'b', at, at)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert script.wait() == -signal.SIGKILL
    assert [point[2] for point in read_all(folder, 500)] == list(range(12345))


@pytest.mark.parametrize("value", ["0.5", None, object(), [1.0]])
def test_a_value_that_is_no_number_is_a_type_error_which_says_so(tmp_path: Path, value: Any) -> None:
    with pytest.raises(TypeError, match="takes a number"):
        ScalarWriter(tmp_path, Ticks()).report("a", "b", value, 0)


def test_an_iteration_that_is_no_number_is_a_type_error_which_says_so(tmp_path: Path) -> None:
    bad: Any = "seven"
    with pytest.raises(TypeError, match="whole number"):
        ScalarWriter(tmp_path, Ticks()).report("a", "b", 1.0, bad)


def test_after_a_type_error_reporting_goes_on(tmp_path: Path) -> None:
    writer = ScalarWriter(tmp_path, Ticks())
    bad: Any = "x"
    for value in (1.0, bad, 2.0):
        try:
            writer.report("a", "b", value, 0)
        except TypeError:
            continue
    assert [point[4] for point in read_all(tmp_path)] == [1.0, 2.0]


def test_numbers_of_other_libraries_and_huge_ones_are_taken(tmp_path: Path) -> None:
    class Scalar:
        def __float__(self) -> float:
            return 2.5

        def __int__(self) -> int:
            return 7

    given: Any = Scalar()
    no_iteration: Any = None
    writer = ScalarWriter(tmp_path, Ticks())
    writer.report("a", "b", given, given)
    writer.report("a", "b", 10**400, 3)
    writer.report("a", "b", True, no_iteration)
    half: Any = 4.0
    writer.report("a", "b", 1.0, half)
    assert [(point[2], point[4]) for point in read_all(tmp_path)] == [(7, 2.5), (3, math.inf), (0, 1.0), (4, 1.0)]


def test_the_offset_is_added_to_iterations_and_the_greatest_is_known(tmp_path: Path) -> None:
    writer = ScalarWriter(tmp_path, Ticks(), records=2)
    assert writer.greatest_iteration() is None
    writer.offset = 100
    for at in (3, 9, 1, 2, 5):
        writer.report("a", "b", 0.0, at)
    assert writer.greatest_iteration() == 109
    assert [point[2] for point in read_all(tmp_path)] == [103, 109, 101, 102, 105]


def test_names_are_cut_to_what_the_server_takes(tmp_path: Path) -> None:
    writer = ScalarWriter(tmp_path, Ticks())
    writer.report("x" * 600, "\ud800", 0.0, 0)
    assert read_all(tmp_path)[0][:2] == ("x" * NAME_CHARS, "?")


def test_a_full_spool_drops_counts_and_says_so_once_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    room = True
    said: list[str] = []
    writer = ScalarWriter(tmp_path, Ticks(), records=10, room=lambda: room, notify=said.append)
    writer.report("a", "b", 0.0, 0)
    room = False
    for at in range(1, 60):
        writer.report("a", "b", 0.0, at)
    assert writer.dropped == 50
    assert len(said) == 1
    assert "full" in said[0]
    room = True
    for at in range(60, 60 + 5000):
        writer.report("a", "b", 0.0, at)
    writer.close()
    stored = [point[2] for point in read_all(tmp_path, 10)]
    assert stored[:10] == list(range(10))
    assert stored[-1] == 5059
    assert len(stored) + writer.dropped == 5060
    assert said[1].startswith(f"{writer.dropped} scalars were dropped")


def test_a_reader_that_comes_while_a_segment_is_made_waits(tmp_path: Path) -> None:
    (tmp_path / "scalars.0").write_bytes(b"")
    assert ScalarReader(tmp_path).read(0, 10) is None
    (tmp_path / "scalars.0").write_bytes(bytes(4096))
    assert ScalarReader(tmp_path).read(0, 10) is None
    assert ScalarReader(tmp_path).end() == 0


def test_a_damaged_segment_is_named(tmp_path: Path) -> None:
    (tmp_path / "scalars.0").write_bytes(b"something else altogether" * 10)
    with pytest.raises(SpoolDamaged, match=r"scalars\.0"):
        ScalarReader(tmp_path).read(0, 10)


def test_a_series_that_finds_no_place_for_its_name_is_dropped_and_harms_no_other(tmp_path: Path) -> None:
    said: list[str] = []
    writer = ScalarWriter(tmp_path, Ticks(), notify=said.append)
    writer.report("a", "b", 0.0, 1)
    (tmp_path / "series").rename(tmp_path / "kept")
    (tmp_path / "series").mkdir()  # as on a full disk: the segment has its blocks, the names have none
    writer.report("new", "b", 0.0, 2)
    writer.report("new", "b", 0.0, 3)
    writer.report("a", "b", 0.0, 4)
    (tmp_path / "series").rmdir()
    (tmp_path / "kept").rename(tmp_path / "series")
    writer.report("new", "b", 0.0, 5)
    assert [(point[0], point[2]) for point in read_all(tmp_path)] == [("a", 1), ("a", 4), ("new", 5)]
    assert writer.dropped == 2
    assert len(said) == 1


def test_segments_that_the_server_has_are_deleted_but_never_the_newest(tmp_path: Path) -> None:
    writer = ScalarWriter(tmp_path, Ticks(), records=10)
    for at in range(25):
        writer.report("a", "b", 0.0, at)
    reader = ScalarReader(tmp_path)
    reader.read(0, 100)
    reader.forget(19)
    assert not (tmp_path / "scalars.0").exists()
    reader.forget(25)
    assert sorted(path.name for path in tmp_path.glob("scalars.*")) == ["scalars.2"]
    assert reader.end() == 25
    assert os.path.getsize(tmp_path / "scalars.2") == 64 + 320
