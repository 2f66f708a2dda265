"""State before scalars before consoles, as those who call the API see it."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection

from batuta_api.__main__ import build
from batuta_api.testing import RunningQueue
from batuta_chassis.database import Database
from batuta_chassis.testing import running
from batuta_proto.metrics import v1 as metrics
from batuta_proto.tasks import v1 as tasks

T = TypeVar("T")
FLOOD = 12
MIB = 1 << 20


class GatedDatabase(Database):
    """The real one, whose writer stands behind a gate. Counts who waits there, and notes who was let through."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.waiting: Counter[str] = Counter()
        self.passed: list[str] = []

    async def write(self, use_case: Callable[[Connection], T], *, bulk: int = 0, late: bool = False) -> T:
        """Note it."""
        name = "log" if bulk >= MIB else "scalars" if bulk else "state"

        def noted(connection: Connection) -> T:
            self.passed.append(name)
            return use_case(connection)

        self.waiting[name] += 1
        try:
            return await super().write(noted, bulk=bulk, late=late)
        finally:
            self.waiting[name] -= 1

    def shut(self) -> threading.Event:
        """Shut the gate; set the event to open it."""
        gate = threading.Event()
        self.holding = asyncio.ensure_future(super().write(lambda _: gate.wait(30)))
        return gate


@pytest.fixture
async def gated(
    queue: RunningQueue, tmp_path: Path, make_api: Any, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Any, GatedDatabase]]:
    """An API, and its database."""
    made: list[GatedDatabase] = []

    def open_gated(*args: Any, **settings: Any) -> Database:
        made.append(GatedDatabase(*args, **settings))
        return made[-1]

    monkeypatch.setattr("batuta_api.__main__.Database", open_gated)
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint) as process:
        yield make_api(process), made[0]


async def test_scalars_and_ends_pass_a_flood_of_consoles(gated: tuple[Any, GatedDatabase]) -> None:
    api, database = gated
    member = api.stubs("member")
    loud, quiet, ending = [await member.started() for _ in range(3)]
    gate = database.shut()
    flood = [
        asyncio.create_task(member.write_log(loud.id, 1, bytes(MIB), producer=f"rank-{number}"))
        for number in range(FLOOD)
    ]
    await api.eventually(lambda: database.waiting["log"] == FLOOD)
    column = metrics.ScalarColumn(metric="loss", variant="train", iterations=[1], time_unix_millis=[1000], values=[0.5])
    batch = metrics.AppendScalarsRequest(
        task_id=quiet.id, attempt=1, producer="p", first_sequence=1, last_sequence=1, columns=[column]
    )
    scalars = asyncio.create_task(member.metrics.AppendScalars(batch))
    finish = tasks.FinishTaskRequest(task_id=ending.id, attempt=1, state=tasks.TASK_STATE_COMPLETED)
    end = asyncio.create_task(member.tasks.FinishTask(finish))
    await api.eventually(lambda: bool(database.waiting["scalars"] and database.waiting["state"]))
    database.passed.clear()
    gate.set()
    assert (await api.soon(scalars)).committed_sequence == 1
    assert (await api.soon(end)).task.status.state == tasks.TASK_STATE_COMPLETED
    assert await api.soon(asyncio.gather(*flood)) == [MIB] * FLOOD
    assert list(dict.fromkeys(database.passed)) == ["state", "scalars", "log"]
