"""Limits of the API: budgets, places, and their settings."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from batuta_api.__main__ import build
from batuta_api.limits import Budget, Limits, Places
from batuta_chassis.limits import described, limits_of, read_limits
from batuta_chassis.settings import Settings, SettingsError
from batuta_chassis.testing import running
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.errors import RateLimited


async def test_a_budget_is_given_out_in_the_order_of_coming() -> None:
    budget, order = Budget(10), list[str]()

    async def take(name: str, size: int) -> None:
        await budget.take(size)
        order.append(name)

    await take("first", 8)
    waiting = [asyncio.create_task(take("large", 6)), asyncio.create_task(take("small", 1))]
    await asyncio.sleep(0)
    assert order == ["first"]
    budget.give(8)
    await asyncio.gather(*waiting)
    assert order == ["first", "large", "small"]


async def test_who_leaves_the_line_of_a_budget_keeps_nothing_of_it() -> None:
    budget = Budget(10)
    await budget.take(10)
    leaving = asyncio.create_task(budget.take(10))
    staying = asyncio.create_task(budget.take(3))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    budget.give(10)
    await staying
    given = asyncio.create_task(budget.take(8))
    await asyncio.sleep(0)
    budget.give(3)  # it has its turn now, and leaves before it knows
    given.cancel()
    await asyncio.gather(given, return_exceptions=True)
    await budget.take(10)


def test_a_place_is_free_again_when_its_stream_ends() -> None:
    places = Places("task_watchers", 1)
    with places.one(), pytest.raises(RateLimited, match="task_watchers allows 1"), places.one():
        pass
    with places.one():
        pass


def test_limits_are_settings_of_the_process(tmp_path: Path) -> None:
    argv = ["--data-dir", str(tmp_path), "--limit", "log_writers=8"]
    environ = {"BATUTA_API_LIMIT_TASK_WATCHERS": "9"}
    given = Settings.load("api", argv, environ, limits_help=described(limits_of(Limits))).limits
    limits = read_limits(Limits, given)
    assert (limits.log_writers, limits.task_watchers, limits.log_readers) == (8, 9, Limits().log_readers)
    with pytest.raises(SettingsError, match="log_bytes_in_flight"):
        read_limits(Limits, {"log_bytes_in_flight": "1024"})


def test_every_limit_is_on_the_operators_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    for each in limits_of(Limits):
        assert f"| `{each.name}` | {each.shown} |" in page


async def test_watchers_beyond_the_limit_are_refused(queue: Any, tmp_path: Path, make_api: Any) -> None:
    limits = {"task_watchers": "1"}
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint, limits=limits) as process:
        member = make_api(process).stubs("member")
        task = await member.draft()
        watching = member.tasks.WatchTask(tasks.WatchTaskRequest(task_id=task.id))
        await watching.read()
        with pytest.raises(RateLimited, match="task_watchers"):
            await member.tasks.WatchTask(tasks.WatchTaskRequest(task_id=task.id)).read()
        watching.cancel()
