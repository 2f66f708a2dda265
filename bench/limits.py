"""What stands beside our figures: the start of a bare interpreter, a durable append, and a gRPC echo.

Each is a `Side`: it works through the same number of operations with the same random gaps as the row it stands beside,
because a machine that has just slept is slower than one in a tight loop.
"""

from __future__ import annotations

import os
import queue
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc

from bench import echo, measure
from bench.children import Child
from bench.measure import Sample

PAYLOAD = b"x" * 64


def durable_append(folder: Path, count: int, seed: int) -> Sample:
    """`count` appends of 64 bytes to one file, each followed by fdatasync: what every commit costs at least."""
    times: list[int] = []
    cpu = 0.0
    descriptor = os.open(folder / "append", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        for _ in measure.gaps(count, seed):
            used = measure.own_cpu_seconds()
            start = measure.now_ns()
            os.write(descriptor, PAYLOAD)
            os.fdatasync(descriptor)
            times.append(measure.now_ns() - start)
            cpu += measure.own_cpu_seconds() - used
    finally:
        os.close(descriptor)
    return measure.sample(times, cpu)


class Echo:
    """A bare gRPC server in a process of its own, and a client of it in this one."""

    def __init__(self, log: Path) -> None:
        self._server = Child("bench.echo", [], log)
        self._channel = grpc.insecure_channel(
            f"127.0.0.1:{int(self._server.line())}", options=[("grpc.use_local_subchannel_pool", 1)]
        )

    def close(self) -> None:
        """Stop both."""
        self._channel.close()
        self._server.stop()

    def unary(self, count: int, seed: int) -> Sample:
        """`count` unary calls of 64 bytes. CPU is the server's."""
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(echo.UNARY)
        call(PAYLOAD, timeout=10)
        used = self._server.cpu_seconds()
        times: list[int] = []
        for _ in measure.gaps(count, seed):
            start = measure.now_ns()
            call(PAYLOAD, timeout=10)
            times.append(measure.now_ns() - start)
        return measure.sample(times, self._server.cpu_seconds() - used)

    def stream(self, count: int, seed: int) -> Sample:
        """`count` round trips of 64 bytes on one open stream. CPU is the server's."""
        outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

        def requests() -> Iterator[bytes]:
            while (message := outgoing.get()) is not None:
                yield message

        method: grpc.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(echo.STREAM)
        call = method(requests())
        outgoing.put(PAYLOAD)
        next(call)
        used = self._server.cpu_seconds()
        times: list[int] = []
        for _ in measure.gaps(count, seed):
            start = measure.now_ns()
            outgoing.put(PAYLOAD)
            next(call)
            times.append(measure.now_ns() - start)
        outgoing.put(None)
        for _ in call:
            pass
        return measure.sample(times, self._server.cpu_seconds() - used)


def interpreter_start(python: str, script: Path, count: int, seed: int, gap: tuple[float, float]) -> Sample:
    """`count` times: start `python`, until `script` stamps its first line. CPU is the child's until then.

    The first line's first number is nanoseconds of CLOCK_MONOTONIC, its last one nanoseconds of CPU.
    """
    times: list[int] = []
    cpu = 0
    for _ in measure.gaps(count, seed, gap):
        start = measure.now_ns()
        done = subprocess.run([python, str(script)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
        stamp, *_, used = map(int, done.stdout.split())
        times.append(stamp - start)
        cpu += used
    return measure.sample(times, cpu / 1e9)


_FORKS = """\
import os, sys
script = compile(open(sys.argv[1]).read(), sys.argv[1], "exec")
for _ in sys.stdin:
    if os.fork() == 0:
        exec(script, {"__name__": "__main__"})
        os._exit(0)
    os.wait()
"""


def fork_start(python: str, script: Path, count: int, seed: int, gap: tuple[float, float]) -> Sample:
    """`count` times: tell a Python that waits to fork, until `script`, compiled before, stamps its first line in the
    fork. CPU is the fork's, what it spends on being a copy included."""
    times: list[int] = []
    cpu = 0
    forking = [python, "-c", _FORKS, str(script)]
    with subprocess.Popen(forking, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        told, said = process.stdin, process.stdout
        assert told is not None
        assert said is not None
        for _ in measure.gaps(count, seed, gap):
            start = measure.now_ns()
            told.write("\n")
            stamp, *_, used = map(int, said.readline().split())
            times.append(stamp - start)
            cpu += used
    return measure.sample(times, cpu / 1e9)
