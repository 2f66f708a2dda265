"""Timing: stopwatches, percentiles, and rounds in which the things to compare take turns.

The only module of the bench that reads the machine's clocks. Times are integer nanoseconds of CLOCK_MONOTONIC, which
all processes of one machine share; wall time is used only to line up with the timestamps that services store.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

now_ns = time.perf_counter_ns
"""Nanoseconds since some start; comparable between processes of one machine."""
wall_ns = time.time_ns
"""Nanoseconds since 1970, for comparison with stored timestamps."""


@dataclass(frozen=True)
class Spread:
    """How a set of times lies, in nanoseconds."""

    count: int
    mean: float
    p50: int
    p99: int
    p9999: int
    largest: int


@dataclass(frozen=True)
class Sample:
    """What one side of a comparison did in one round.

    `cpu_seconds` is what the processes under test used for all `spread.count` operations together. `times` are the
    single times where they were kept.
    """

    spread: Spread
    cpu_seconds: float
    times: tuple[int, ...] = field(default=(), repr=False)

    @property
    def cpu_micros(self) -> float:
        """CPU microseconds of one operation."""
        return self.cpu_seconds * 1e6 / self.spread.count


Side = Callable[[], Sample]
"""Does its work once and says how long each operation took."""
Rounds = dict[str, list[Sample]]
"""Per side, one sample per round."""


def percentile(ordered: Sequence[int], percent: float) -> int:
    """Nearest rank: the smallest time that at least `percent` % of the (ascending) times do not exceed."""
    rank = -(-len(ordered) * percent // 100)  # rounded up
    return ordered[max(0, min(len(ordered), int(rank)) - 1)]


def spread(times: Sequence[int]) -> Spread:
    """Percentiles of a set of times. Raises ValueError for an empty one."""
    if not times:
        raise ValueError("nothing was measured")
    ordered = sorted(times)
    return Spread(
        count=len(ordered),
        mean=sum(ordered) / len(ordered),
        p50=percentile(ordered, 50),
        p99=percentile(ordered, 99),
        p9999=percentile(ordered, 99.99),
        largest=ordered[-1],
    )


def sample(times: Sequence[int], cpu_seconds: float) -> Sample:
    """A sample that keeps its single times."""
    return Sample(spread(times), cpu_seconds, tuple(times))


def evenly(count: int, elapsed_ns: int, cpu_seconds: float) -> Sample:
    """A sample of `count` operations that were only timed together: each took its share."""
    each = elapsed_ns // count
    return Sample(Spread(count, elapsed_ns / count, each, each, each, each), cpu_seconds)


def take_turns(rounds: int, sides: Mapping[str, Side], progress: Callable[[str], None]) -> Rounds:
    """Run every side once per round; odd rounds go backwards, so that no side always follows the same neighbour."""
    results: Rounds = {name: [] for name in sides}
    for number in range(rounds):
        order = list(sides) if number % 2 == 0 else list(sides)[::-1]
        for name in order:
            progress(f"round {number + 1} of {rounds}: {name}")
            results[name].append(sides[name]())
    return results


def pooled(samples: Sequence[Sample]) -> Spread:
    """The spread over the single times of all rounds; for percentiles that one round is too small for."""
    return spread([one for each in samples for one in each.times])


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def median_of(samples: Sequence[Sample], pick: Callable[[Spread], float]) -> float:
    """The median over rounds of one figure."""
    return median([pick(each.spread) for each in samples])


def cpu_micros(samples: Sequence[Sample]) -> float:
    """CPU microseconds of one operation: the median over rounds."""
    return median([each.cpu_micros for each in samples])


def ratio(ours: Sequence[Sample], beside: Sequence[Sample], pick: Callable[[Spread], float]) -> float:
    """The median over rounds of ours / beside within the same round."""
    return median([pick(a.spread) / pick(b.spread) for a, b in zip(ours, beside, strict=True)])


GAP = (0.001, 0.050)
"""Shortest and longest pause (seconds) between operations, where a row does not say otherwise."""


def gaps(count: int, seed: int, gap: tuple[float, float] = GAP) -> Iterator[None]:
    """Sleep a random time (uniform, seeded) before each of `count` operations; the sleep is not measured.

    Random, because a steady rhythm locks in phase with whatever polls.
    """
    chance = random.Random(seed)
    for _ in range(count):
        time.sleep(chance.uniform(*gap))
        yield


def pause(seconds: float) -> None:
    """Let the machine do something else."""
    time.sleep(seconds)


def own_cpu_seconds() -> float:
    """CPU seconds of this process so far, kernel time included."""
    return time.process_time()


def cpu_seconds(pid: int) -> float:
    """CPU seconds that the living threads of another process have used so far.

    From the scheduler's own nanoseconds, because ticks of 10 ms are larger than what a round uses. Raises
    FileNotFoundError when the process is gone.
    """
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread ended meanwhile
    return total / 1e9


def memory_bytes(pid: int) -> int:
    """Resident memory of another process. Raises FileNotFoundError when it is gone."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
