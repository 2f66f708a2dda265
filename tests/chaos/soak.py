"""`make soak`: many tasks on many agents with a fault now and then, for as long as it takes; does anything grow?

Prints a line a minute, then what each service's memory, descriptors and connections did after the warm-up, and what the
checker found. Exit status 1 when something grew or broke. Ctrl-C brings what has begun to its end and judges it.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.chaos.world import Kills, World
from tests.e2e.harness.remote import ENDED, Remote

PAYLOAD = "print('done', flush=True)\n"
AHEAD = 60
"""Tasks that wait or run at once, so that agents never starve and the queue does not swallow the run."""
WARM = 0.3
"""Share of the run that does not count: caches fill."""
GROWTH = {"memory_mib": 0.25, "descriptors": 0.25, "connections": 0.5}
"""How much of its level after the warm-up a figure may gain over the rest of the run, by a straight line through it."""
SLACK = {"memory_mib": 32.0, "descriptors": 24.0, "connections": 12.0}
"""And what is always allowed: small figures jump."""


@dataclass
class Samples:
    """What one service used, sample by sample; a new process begins anew."""

    pid: int = 0
    rows: list[tuple[float, float, float, float]] = field(default_factory=list[tuple[float, float, float, float]])

    def take(self, pid: int, at: float) -> None:
        """Look at the process now."""
        if pid != self.pid:
            self.pid, self.rows = pid, []
        try:
            process = psutil.Process(pid)
            connections = len(process.net_connections(kind="tcp"))
            memory = process.memory_info()
            # What is shared is the database's file, mapped: it grows with what is stored, and is no memory of ours.
            own: float = memory.rss - memory.shared
            self.rows.append((at, own / 2**20, process.num_fds(), connections))
        except psutil.Error:
            return

    def grown(self) -> list[str]:
        """The figures that grow, in words."""
        rows = self.rows[int(len(self.rows) * WARM) :]
        if len(rows) < 10:
            return []
        found: list[str] = []
        for column, name in enumerate(GROWTH, 1):
            first, gain = _line([row[0] for row in rows], [row[column] for row in rows])
            if gain > max(SLACK[name], first * GROWTH[name]):
                found.append(f"{name} {first:.0f} + {gain:.0f}")
        return found

    def last(self) -> str:
        """The newest sample."""
        _, memory, descriptors, connections = self.rows[-1] if self.rows else (0, 0, 0, 0)
        return f"{memory:.0f} MiB, {descriptors:.0f} fds, {connections:.0f} connections"


def _line(at: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Where a straight line through the values begins, and what it gains until the end."""
    middle_at, middle = sum(at) / len(at), sum(values) / len(values)
    spread = sum((each - middle_at) ** 2 for each in at)
    slope = sum((x - middle_at) * (y - middle) for x, y in zip(at, values, strict=True)) / spread if spread else 0.0
    return middle + slope * (at[0] - middle_at), slope * (at[-1] - at[0])


@dataclass
class Soak:
    """One run."""

    world: World
    options: argparse.Namespace
    samples: dict[str, Samples] = field(default_factory=lambda: {"queue": Samples(), "api": Samples()})
    done: int = 0
    faults: int = 0

    def run(self) -> list[str]:
        """Until all tasks have ended or the time is over. Returns what is wrong."""
        world, options = self.world, self.options
        remote = world.remote()
        slots = max(1, options.slots)
        for number in range(options.agents):
            world.keep_agent(f"soak-{number}", slots)
        kills, chance = Kills(world, options.seed), random.Random(options.seed)
        start = time.monotonic()
        end, fault, said, look = start + options.minutes * 60, start + options.fault_every, start, start
        waiting: list[str] = []
        stopped = self._stopped()
        while time.monotonic() < end and self.done < options.tasks and not stopped.is_set():
            while len(waiting) < AHEAD and len(world.submitted) < options.tasks:
                waiting.append(world.submit(remote, f"soak {len(world.submitted)}", PAYLOAD))
            self._collect(remote, waiting)
            now = time.monotonic()
            if now >= look:
                look = now + 5
                self.samples["queue"].take(world.queue_process.pid, now - start)
                self.samples["api"].take(world.api_process.pid, now - start)
            if now >= fault:
                fault = now + options.fault_every * chance.uniform(0.7, 1.3)
                kills.strike()
                self.faults += 1
            if now >= said + 60:
                said = now
                self._say(now - start)
            world.revive()
            time.sleep(0.2)
        self._say(time.monotonic() - start)
        world.until_ended(remote, waiting, 300)
        wrong = [f"{name} grows: {', '.join(each.grown())}" for name, each in self.samples.items() if each.grown()]
        return [*wrong, *world.judged()]

    @staticmethod
    def _stopped() -> threading.Event:
        """Set by Ctrl-C: what has begun is brought to its end and judged."""
        stopped = threading.Event()
        signal.signal(signal.SIGINT, lambda *_: stopped.set())
        return stopped

    def _collect(self, remote: Remote, waiting: list[str]) -> None:
        # The head of the line: what ended further back is seen when its turn comes.
        for identity in waiting[:20]:
            task = self.world.until_done(lambda identity=identity: remote.get(identity))
            if task.status.state in ENDED:
                waiting.remove(identity)
                self.done += 1

    def _say(self, seconds: float) -> None:
        rate = self.done / seconds if seconds else 0.0
        parts = "; ".join(f"{name} {each.last()}" for name, each in self.samples.items())
        print(
            f"{seconds / 60:5.1f} min: {self.done} tasks ended ({rate:.1f}/s), {self.faults} faults; {parts}",
            flush=True,
        )


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=110.0, help="how long at most (default 110)")
    parser.add_argument("--tasks", type=int, default=10_000, help="how many tasks (default 10,000)")
    parser.add_argument("--agents", type=int, default=20, help="how many agents (default 20)")
    parser.add_argument("--slots", type=int, default=1, help="tasks at once on each (default 1)")
    parser.add_argument("--fault-every", type=float, default=20.0, help="seconds between kills (default 20)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batuta-soak-") as folder:
        world = World(Path(folder) / "world", Path(folder))
        try:
            soak = Soak(world, options)
            wrong = soak.run()
            print(
                f"soak: {soak.done} tasks, {soak.faults} faults, seed {options.seed}: "
                + ("flat, no invariant broken" if not wrong else f"{len(wrong)} findings")
            )
            for line in wrong:
                print(f"  {line}")
            return 1 if wrong else 0
        finally:
            world.close()


if __name__ == "__main__":
    sys.exit(main())
