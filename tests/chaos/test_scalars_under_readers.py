"""F25: one task that reports as much as it can, and many people who look at its charts meanwhile."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from batuta_proto.metrics import v1 as metrics
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.auth import CredentialTokens
from batuta_rpc.channel import open_aio
from batuta_rpc.clock import SystemClock, within
from batuta_rpc.errors import RateLimited
from batuta_rpc.ids import SystemIds
from tests.chaos.world import World

CLOCK = SystemClock()
SERIES = 20
BATCH = 2_000
"""Points of one report, over all series."""
WITHIN = 240.0


def value(series: int, iteration: int) -> float:
    """What is reported: no two points are alike."""
    return series * 1e7 + iteration


def report(task_id: str, first: int) -> metrics.AppendScalarsRequest:
    """The batch whose first record is `first`, a little of every series."""
    each = BATCH // SERIES
    begin = (first - 1) // SERIES
    steps = range(begin, begin + each)
    columns = [
        metrics.ScalarColumn(
            metric=f"metric {number}",
            variant="train",
            iterations=steps,
            time_unix_millis=[1_700_000_000_000 + step for step in steps],
            values=[value(number, step) for step in steps],
        )
        for number in range(SERIES)
    ]
    return metrics.AppendScalarsRequest(
        task_id=task_id,
        attempt=1,
        producer="p",
        first_sequence=first,
        last_sequence=first + BATCH - 1,
        columns=columns,
    )


async def points_of(stub: Any, task_id: str, metric: str = "") -> Mapping[str, list[tuple[int, float]]]:
    """All that is stored, or one chart."""
    found: dict[str, list[tuple[int, float]]] = {}
    async for answer in stub.ReadScalars(metrics.ReadScalarsRequest(task_id=task_id, metric=metric), timeout=60):
        for column in answer.columns:
            found.setdefault(column.metric, []).extend(zip(column.iterations, column.values, strict=True))
    return found


@dataclass
class Looks:
    """What readers saw."""

    seconds: list[float] = field(default_factory=list[float])
    wrong: list[str] = field(default_factory=list[str])

    @property
    def p95(self) -> float:
        """Of the time that one chart took."""
        return sorted(self.seconds)[math.ceil(0.95 * len(self.seconds)) - 1]

    async def look(self, stub: Any, task_id: str, number: int, acknowledged: Callable[[], int], pause: float) -> None:
        """Look at one chart after the other, for ever: what was acknowledged before must be in it."""
        turn = number
        while True:
            series = turn = (turn + 1) % SERIES
            least, began = acknowledged() // SERIES, CLOCK.monotonic()
            seen = (await points_of(stub, task_id, f"metric {series}")).get(f"metric {series}", [])
            self.seconds.append(CLOCK.monotonic() - began)
            if len(seen) < least or seen != [(step, value(series, step)) for step in range(len(seen))]:
                self.wrong.append(f"chart {series} has {len(seen)} points, and {least} were acknowledged before")
            await CLOCK.sleep(pause)


@pytest.fixture
async def stubs(open_world: Callable[..., World]) -> AsyncIterator[Callable[[], Any]]:
    """Opens channels to a deployment of its own: (tasks, metrics)."""
    world = open_world()
    connection = world.credential()
    opened: list[Any] = []

    def make() -> Any:
        tokens = CredentialTokens(connection.api, connection.access_key, connection.secret_key, CLOCK)
        opened.append(open_aio(connection.api, tokens, "chaos"))
        return tasks.TaskServiceStub(opened[-1]), metrics.MetricServiceStub(opened[-1])

    yield make
    for channel in opened:
        await channel.close()


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("count", "readers", "pause"), [pytest.param(1_000_000, 50, 1.0, marks=pytest.mark.nightly), (20_000, 5, 0.02)]
)
async def test_f25_all_scalars_that_were_acknowledged_are_in_the_charts_that_many_look_at(
    stubs: Callable[[], Any], count: int, readers: int, pause: float
) -> None:
    tasks_of, reporting = stubs()
    made = await tasks_of.CreateTask(
        tasks.CreateTaskRequest(project_name="chaos", display_name="reports", request_id=SystemIds().request_id())
    )
    task_id = made.task.id
    await tasks_of.StartTask(tasks.StartTaskRequest(task_id=task_id, host="h"))
    stored, looks, began = 0, Looks(), CLOCK.monotonic()
    looking = [
        asyncio.create_task(looks.look(stubs()[1], task_id, number, lambda: stored, pause)) for number in range(readers)
    ]
    try:
        while stored < count:
            try:
                answer = await within(CLOCK, WITHIN, reporting.AppendScalars(report(task_id, stored + 1)))
                stored = answer.committed_sequence
            except RateLimited:
                await CLOCK.sleep(0.1)
        took = CLOCK.monotonic() - began
    finally:
        for each in looking:
            each.cancel()
        ended = await asyncio.gather(*looking, return_exceptions=True)
    assert not [each for each in ended if not isinstance(each, asyncio.CancelledError)]
    assert looks.wrong == []
    final = await points_of(reporting, task_id)
    assert final == {
        f"metric {number}": [(step, value(number, step)) for step in range(count // SERIES)] for number in range(SERIES)
    }
    seen = f"{len(looks.seconds)} charts, p95 {looks.p95:.2f} s"
    print(f"\n{count} scalars in {took:.1f} s beside {readers} readers; {seen}")
