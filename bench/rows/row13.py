"""Row 13: from a line that a running task prints until somebody who follows the log on another connection has it; and a
flood of 100 MB.

Everything is real: shim, courier, API, a follower as `batuta task logs -f` opens it. Lines come at random times; each
carries the moment at which it was printed. The flood is counted and hashed at the follower. Beside the lines: the same
script into a pipe; beside the flood: the same bytes into a pipe.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batuta_proto.logs import v1 as logs
from batuta_rpc.channel import open_sync
from bench import measure
from bench.measure import Sample, Side
from bench.plan import Plan
from bench.report import Line, millis, number
from bench.through import Through, admin, through

LINES, QUICK_LINES = 200, 5
FLOOD, QUICK_FLOOD = 100_000_000, 1_000_000
FLOODS = 3
SAY = """\
import random, sys, time
chance = random.Random({seed})
time.sleep(1.5)
for number in range({count}):
    time.sleep(chance.uniform(0.02, 0.12))
    print("line", time.perf_counter_ns(), flush=True)
"""
POUR = """\
import os, sys, time
time.sleep(1.0)
block = (b"x" * 99 + b"\\n") * 1000
left = {count}
while left:
    left -= os.write(1, block[:min(left, len(block))])
"""


def run(plan: Plan) -> list[Line]:
    """p50 and p99 of the lines over all rounds, and the flood's rate."""
    count = plan.count(LINES, QUICK_LINES)
    with through(plan.scratch / "row13") as way:
        lines: dict[str, Side] = {
            "lines": lambda: _followed(way, count, plan.seed),
            "pipe": lambda: _piped(count, plan.seed),
        }
        said = measure.take_turns(plan.rounds, lines, lambda text: plan.progress(f"row 13, {text}"))
        size = QUICK_FLOOD if plan.quick else FLOOD
        floods: dict[str, Side] = {"flood": lambda: _flooded(way, size), "pipe": lambda: _poured(size)}
        rounds = min(plan.rounds, FLOODS)
        poured = measure.take_turns(rounds, floods, lambda text: plan.progress(f"row 13, flood, {text}"))
    return [*_lines(said), _flood(poured, size)]


def _lines(said: measure.Rounds) -> list[Line]:
    ours, pipe = said["lines"], said["pipe"]
    spread = measure.pooled(ours)
    beside = f"a pipe {millis(measure.median_of(pipe, lambda each: each.p50))}"
    ratio = measure.ratio(ours, pipe, lambda each: each.p50)
    what = "line printed → seen by a follower"
    return [
        Line(13, f"{what}, p50 of {spread.count}", spread.p50 / 1e6, "ms", 20.0, beside, ratio),
        Line(13, f"{what}, p99", spread.p99 / 1e6, "ms"),
    ]


def _flood(poured: measure.Rounds, size: int) -> Line:
    ours, pipe = poured["flood"], poured["pipe"]
    mean = measure.median_of(ours, lambda each: each.mean)
    rate = f"{number(1e3 / mean)} MB/s"
    beside = f"a pipe {number(1e3 / measure.median_of(pipe, lambda each: each.mean))} MB/s"
    cpu = f"{number(measure.cpu_micros(ours) * 1e3)} s a GB in the API"
    ratio = measure.ratio(ours, pipe, lambda each: each.mean)
    return Line(13, f"flood of {size / 1e6:g} MB, all of it seen: {rate}", mean, "ns/B", 20.0, beside, ratio, cpu)


@contextmanager
def _following(way: Through, task_id: str) -> Generator[Iterator[bytes]]:
    """The console of a task as it comes, over a connection of its own."""
    with open_sync(way.stack.api_endpoint, admin(way.stack), "bench") as channel:
        call: Any = logs.LogServiceStub(channel).ReadLog(logs.ReadLogRequest(task_id=task_id, follow=True))

        def pieces() -> Iterator[bytes]:
            for response in call:
                for chunk in response.chunks:
                    if chunk.producer == "console":
                        yield chunk.data

        yield pieces()
        call.cancel()


def _followed(way: Through, count: int, seed: int) -> Sample:
    task_id = way.draft(SAY.format(seed=seed, count=count), "row 13")
    way.enqueue(task_id)
    times: list[int] = []
    rest = b""
    with _following(way, task_id) as pieces:
        used = way.stack.api.cpu_seconds()
        for piece in pieces:
            seen = measure.now_ns()
            *whole, rest = (rest + piece).split(b"\n")
            times += [seen - int(line.split()[1]) for line in whole if line.startswith(b"line ")]
            if len(times) == count:
                break
    way.until_ended(task_id)
    return measure.sample(times, way.stack.api.cpu_seconds() - used)


def _piped(count: int, seed: int) -> Sample:
    times: list[int] = []
    with _python(SAY.format(seed=seed, count=count)) as process:
        assert process.stdout is not None
        times.extend(measure.now_ns() - int(line.split()[1]) for line in process.stdout)
    return measure.sample(times, 0.0)


def _flooded(way: Through, size: int) -> Sample:
    task_id = way.draft(POUR.format(count=size), "row 13 flood")
    way.enqueue(task_id)
    with _following(way, task_id) as pieces:
        used = way.stack.api.cpu_seconds()
        mean = _drain(pieces, size)
    way.until_ended(task_id)
    return measure.evenly(size, round(mean * size), way.stack.api.cpu_seconds() - used)


def _poured(size: int) -> Sample:
    with _python(POUR.format(count=size)) as process:
        output = process.stdout
        assert output is not None
        mean = _drain(iter(lambda: os.read(output.fileno(), 1 << 20), b""), size)
    return measure.evenly(size, round(mean * size), 0.0)


def _drain(pieces: Iterator[bytes], size: int) -> float:
    """Nanoseconds a byte, from the first piece to the last. Raises RuntimeError when it is not what was poured."""
    found, digest, start = 0, hashlib.sha256(), 0
    for piece in pieces:
        start = start or measure.now_ns()
        found += len(piece)
        digest.update(piece)
        if found >= size:
            break
    elapsed = measure.now_ns() - start
    whole = hashlib.sha256((b"x" * 99 + b"\n") * (size // 100))
    if found != size or digest.digest() != whole.digest():
        raise RuntimeError(f"the follower saw {found:,} bytes of {size:,}, or others than were poured")
    return elapsed / size


@contextmanager
def _python(script: str) -> Generator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=Path("/")
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
