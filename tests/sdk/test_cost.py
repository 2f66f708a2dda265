"""What the SDK costs a script, in processor time: a busy machine changes little. `make bench` measures."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

from batuta_courier.scalars import ScalarWriter

IMPORT = (
    "import sys, time, json; began = time.process_time(); import batuta; took = time.process_time() - began;"
    "print(json.dumps([took, sorted(sys.modules)]))"
)


def test_importing_batuta_brings_neither_grpc_nor_protobuf_and_is_quick() -> None:
    runs = [
        json.loads(subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True).stdout)
        for _ in range(5)
    ]
    modules = runs[0][1]
    heavy = ("grpc", "google", "batuta_proto", "asyncio", "ssl", "socket", "multiprocessing", "subprocess")
    assert [name for name in modules if name.partition(".")[0] in heavy] == []
    assert min(took for took, _ in runs) < 0.08


def test_a_million_reports_cost_about_a_microsecond_each(tmp_path: Path) -> None:
    from time import process_time_ns

    from batuta_rpc.clock import SystemClock

    writer = ScalarWriter(tmp_path, SystemClock().unix_nanos)
    names = [f"series{at}" for at in range(10)]
    rounds: list[float] = []
    for _ in range(10):
        began = process_time_ns()
        for at in range(10_000):
            for name in names:
                writer.report("loss", name, 0.5, at)
        rounds.append((process_time_ns() - began) / 100_000)
    assert statistics.median(rounds) < 4_000
    assert writer.dropped == 0
