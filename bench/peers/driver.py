"""Drives one peer from its own environment: `python driver.py APP`.

Reads lines: `latency COUNT SEED SHORTEST LONGEST` enqueues one job after the other with random gaps (seconds) and
answers the nanoseconds from each call to the job's first line; `enqueue COUNT` enqueues as quickly as it can and
answers the nanoseconds that it took, jobs being worked on meanwhile. Answers are one JSON line each.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import socket
import sys
import time
from typing import Any


class Driver:
    """One client of one peer."""

    def __init__(self, app: Any, inbox: socket.socket) -> None:
        self._app = app
        self._inbox = inbox
        self._number = 0

    def latency(self, count: int, seed: int, shortest: float, longest: float) -> list[int]:
        """Nanoseconds from each call to the start of its job."""
        chance = random.Random(seed)
        times: list[int] = []
        for _ in range(count):
            time.sleep(chance.uniform(shortest, longest))
            self._number += 1
            start = time.perf_counter_ns()
            self._app.enqueue(self._number)
            times.append(self._began(self._number) - start)
        return times

    def enqueue(self, count: int) -> int:
        """Nanoseconds that `count` calls took; returns once all of their jobs have begun."""
        self._number += 1
        start = time.perf_counter_ns()
        for _ in range(count - 1):
            self._app.enqueue(-1)
        self._app.enqueue(self._number)
        elapsed = time.perf_counter_ns() - start
        self._began(self._number)
        return elapsed

    def _began(self, wanted: int) -> int:
        while True:
            number, stamp = map(int, self._inbox.recv(64).split())
            if number == wanted:
                return stamp


def main(name: str) -> None:
    """Answer lines until stdin closes."""
    app = importlib.import_module(name)
    if hasattr(app, "prepare"):
        app.prepare()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        inbox.bind(os.environ["PEERS_SOCKET"])
        inbox.settimeout(60)
        driver = Driver(app, inbox)
        print(json.dumps("ready"), flush=True)
        for line in sys.stdin:
            word, *numbers = line.split()
            if word == "latency":
                count, seed, shortest, longest = numbers
                answer: Any = driver.latency(int(count), int(seed), float(shortest), float(longest))
            else:
                answer = driver.enqueue(int(numbers[0]))
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
