"""Which tasks a list holds and in what order: the same in memory, in SQLite and in PostgreSQL."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta_api.metrics.model import Column, Producer
from batuta_api.tasks import sort_keys
from batuta_api.tasks.columns import Columns, values
from batuta_api.tasks.model import Definition, Parameter, TaskState
from batuta_api.tasks.testing import NOON, a_task
from batuta_api.tasks.wanted import (
    NEWEST_FIRST,
    Archived,
    By,
    MetricTest,
    Numbers,
    Of,
    Order,
    ParameterTest,
    Place,
    TaskFilter,
    Times,
)
from batuta_api.work import Work, Works

MINUTE = timedelta(minutes=1)
LOSS = [2.0, float("nan"), -1.0, 10.0, None, 9.0]
RATES = ["0.1", "1e-3", "high", "10", "2", None]


def fill(work: Work) -> None:
    """Six tasks, the newest is t5."""
    for number in range(6):
        parameters = [] if RATES[number] is None else [Parameter("Args", "lr", str(RATES[number]))]
        task = a_task(
            f"t{number}",
            display_name=["digits", "mnist", "digits-2", "DIGITS", "a.b", "zz"][number],
            project_name=["vision", "vision/a", "visions", "text", "vision/a/b", "vision"][number],
            owner="ada" if number % 2 else "bob",
            type=1 + number % 2,
            tags=["all", f"n{number}", *(["even"] if number % 2 == 0 else [])],
            create_time=NOON + number * MINUTE,
            parent_task_id="t0" if number in (1, 2) else "",
            state=TaskState.COMPLETED if number > 2 else TaskState.DRAFT,
            start_time=NOON if number in (1, 2, 3) else None,
            end_time=NOON + number * MINUTE if number in (1, 2) else None,
            queue_id="q1" if number == 3 else "",
        )
        task = replace(task, tags=tuple(task.tags))
        if number == 4:
            task = replace(task, archive_time=NOON)
        work.tasks.add(task, Definition(parameters=tuple(parameters)))
        if LOSS[number] is not None:
            column = Column("loss", "train", [1, 2], [0, 0], [7.0, float(LOSS[number] or 0)])
            work.scalars.append(Producer(task.id, 1, "p"), 2, [column])


async def listed(works: Works, wanted: TaskFilter, order: Order = NEWEST_FIRST) -> str:
    found = await works.read(lambda work: work.tasks.page(wanted, None, 9, order))
    return " ".join(each.task.id[1:] for each in found)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, "5 3 2 1 0"),
        ({"archived": Archived.ONLY}, "4"),
        ({"archived": Archived.INCLUDE}, "5 4 3 2 1 0"),
        ({"deleted": True}, ""),
        ({"project_name": "vision"}, "5 0"),
        ({"project_name": "vision", "subprojects": True}, "5 1 0"),
        ({"name_regex": "^digits"}, "2 0"),
        ({"name_regex": "(?i)^digits$"}, "3 0"),
        ({"name_regex": "^(a+)+$"}, ""),
        ({"types": frozenset({2})}, "5 3 1"),
        ({"any_tags": frozenset({"n1", "n2"})}, "2 1"),
        ({"no_tags": frozenset({"even", "n5"})}, "3 1"),
        ({"tags": frozenset({"even"}), "no_tags": frozenset({"n0"})}, "2"),
        ({"parent_task_id": "t0"}, "2 1"),
        ({"owners": frozenset({"bob", "eve"})}, "2 0"),
        ({"queue_id": "q1"}, "3"),
        ({"times": (("create_time", Times(NOON + MINUTE, NOON + 3 * MINUTE)),)}, "2 1"),
        ({"times": (("start_time", Times(NOON)), ("end_time", Times(None, NOON + 2 * MINUTE)))}, "1"),
        ({"parameters": (ParameterTest("Args", "lr"),)}, "3 2 1 0"),
        ({"parameters": (ParameterTest("Args", "lr", equals="10"),)}, "3"),
        ({"parameters": (ParameterTest("Args", "lr", between=Numbers(0.001, 1.0)),)}, "1 0"),
        ({"parameters": (ParameterTest("Args", "lr", between=Numbers(low=0.1)),)}, "3 0"),
        ({"parameters": (ParameterTest("Args", "other"),)}, ""),
        ({"metrics": (MetricTest("loss", "train"),)}, "5 3 2 1 0"),
        ({"metrics": (MetricTest("loss", "train", between=Numbers(high=3.0)),)}, "2 0"),
        ({"metrics": (MetricTest("loss", "train", Of.MAX, Numbers(low=9.0)),)}, "5 3"),
        ({"metrics": (MetricTest("loss", "test"),)}, ""),
    ],
)
async def test_a_filter_keeps_what_it_names(works: Works, wanted: dict[str, Any], found: str) -> None:
    await works.write(fill)
    assert await listed(works, TaskFilter(**wanted)) == found


@pytest.mark.parametrize(
    ("order", "found"),
    [
        (Order(ascending=True), "0 1 2 3 4 5"),
        (Order(By.DISPLAY_NAME, ascending=True), "3 4 0 2 1 5"),
        (Order(By.TYPE), "5 3 1 4 2 0"),
        (Order(By.END_TIME), "2 1 5 4 3 0"),
        (Order(By.DURATION, ascending=True), "1 2 5 4 3 0"),
        (Order(By.METRIC, False, "loss", "train"), "3 5 0 2 4 1"),
        (Order(By.METRIC, True, "loss", "train"), "2 0 5 3 4 1"),
        (Order(By.METRIC, True, "loss", "train", Of.MAX), "2 1 0 5 3 4"),
        (Order(By.PARAMETER, True, "Args", "lr"), "1 0 4 3 2 5"),
        (Order(By.PARAMETER, False, "Args", "lr"), "2 3 4 0 1 5"),
        (Order(By.LAST_ITERATION), "5 4 3 2 1 0"),
    ],
)
async def test_an_order_holds_over_pages_of_any_size(works: Works, order: Order, found: str) -> None:
    await works.write(fill)
    wanted = TaskFilter(archived=Archived.INCLUDE)
    assert await listed(works, wanted, order) == found
    for size in (1, 2, 4):
        seen: list[str] = []
        after: Place | None = None
        while page := await works.read(
            lambda work, after=after, size=size: work.tasks.page(wanted, after, size, order)
        ):
            seen += [each.task.id[1:] for each in page]
            last = page[-1]
            after = Place(last.task.create_time, last.task.id, last.value)
        assert " ".join(seen) == found


async def test_every_change_of_a_task_has_the_next_number_and_only_the_newest_is_told(works: Works) -> None:
    await works.write(fill)
    assert await works.read(lambda work: work.tasks.revision()) == 6

    def change(work: Work) -> None:
        task = work.tasks.get("t1")
        assert task is not None
        work.tasks.put(task.edited(NOON, tags=("new",)), None)
        work.tasks.put_status(task.edited(NOON).moved(NOON, state=TaskState.QUEUED))
        work.tasks.touch("t0", NOON, 5)

    await works.write(change)
    found = await works.read(lambda work: work.tasks.changed(6, TaskFilter(states=frozenset({TaskState.QUEUED})), 9))
    assert [(each.revision, each.task_id, each.task is not None) for each in found] == [
        (8, "t1", True),
        (9, "t0", False),
    ]
    assert await works.read(lambda work: work.tasks.changed(9, TaskFilter(), 9)) == []
    assert [each.revision for each in await works.read(lambda work: work.tasks.changed(0, TaskFilter(), 2))] == [3, 4]


async def test_a_task_is_removed_whole_and_the_number_of_the_newest_change_never_comes_again(works: Works) -> None:
    await works.write(fill)

    def delete(work: Work) -> None:
        for task_id in ("t2", "t3"):
            task = work.tasks.get(task_id)
            assert task is not None
            work.tasks.put(task.edited(NOON, delete_time=NOON, purge_time=NOON + MINUTE), None)

    await works.write(delete)
    assert await works.read(lambda work: work.tasks.due_for_purge(NOON, 9)) == []
    assert await works.read(lambda work: work.tasks.due_for_purge(NOON + MINUTE, 9)) == ["t2"]
    assert await listed(works, TaskFilter(deleted=True)) == "3 2"
    await works.write(lambda work: work.tasks.remove("t2"))
    assert await works.read(lambda work: work.tasks.get("t2")) is None
    assert await listed(works, TaskFilter(deleted=True)) == "3"
    assert [task.id for task in await works.read(lambda work: work.tasks.many(["t2", "t1"]))] == ["t1"]


async def test_parameters_that_were_changed_are_found_by_their_new_values(works: Works) -> None:
    await works.write(fill)

    def change(work: Work) -> None:
        task = work.tasks.get("t1")
        assert task is not None
        work.tasks.put(task.edited(NOON), Definition(parameters=(Parameter("Args", "lr", "77"),)))

    await works.write(change)
    assert await listed(works, TaskFilter(parameters=(ParameterTest("Args", "lr", equals="77"),))) == "1"
    assert await listed(works, TaskFilter(parameters=(ParameterTest("Args", "lr", equals="1e-3"),))) == ""


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2))
def test_keys_of_numbers_sort_as_the_numbers_do(numbers: list[float]) -> None:
    shuffled = [number + 0.0 for number in numbers]
    random.Random(1).shuffle(shuffled)
    assert sorted(shuffled, key=lambda number: sort_keys.of_value(repr(number))) == sorted(numbers)


@pytest.mark.parametrize("text", ["nan", "inf", "1_000", "", "0x10", "1e999", "1" * 5000, "١"])
def test_what_is_no_plain_number_sorts_as_text(text: str) -> None:
    assert sort_keys.of_value(text).startswith("t")


async def test_columns_come_beside_the_tasks_and_are_empty_where_there_is_nothing(works: Works) -> None:
    await works.write(fill)
    asked = Columns(
        (("loss", "train", Of.LAST), ("loss", "train", Of.MIN), ("acc", "test", Of.MAX)),
        (("Args", "lr"), ("Args", "x")),
    )
    found = await works.read(lambda work: values(work, asked, ["t5", "t2", "t1", "t4"]))

    def shown(cells: Any) -> list[Any]:
        return [each.value if each.HasField("value") else None for each in cells]

    assert [shown(each.metrics) for each in found] == [
        [9.0, 7.0, None],
        [-1.0, -1.0, None],
        [None, 7.0, None],  # its last value is no number
        [None, None, None],
    ]
    assert [shown(each.parameters) for each in found] == [[None, None], ["high", None], ["1e-3", None], ["2", None]]
    assert await works.read(lambda work: values(work, Columns((), ()), ["t5"])) == []


_NASTY = ("'; DROP TABLE tasks; --", "%", "_", "digit%", "\\", "' OR '1'='1", '"', "vision/%")


@pytest.mark.parametrize("text", _NASTY)
async def test_s37_what_is_asked_for_is_a_value_and_never_a_part_of_the_question(works: Works, text: str) -> None:
    await works.write(fill)
    asked: Any = TaskFilter
    for field in ("project_name", "display_name", "parent_task_id", "queue_id"):
        assert await listed(works, asked(**{field: text})) == ""
    assert await listed(works, TaskFilter(project_name=text, subprojects=True)) == ""
    for field in ("tags", "any_tags", "owners"):
        assert await listed(works, asked(**{field: frozenset({text})})) == ""
    assert await listed(works, TaskFilter(parameters=(ParameterTest("Args", text),))) == ""
    assert await listed(works, TaskFilter(parameters=(ParameterTest("Args", "lr", text),))) == ""
    assert await listed(works, TaskFilter(metrics=(MetricTest(text, "train"),))) == ""
    assert await listed(works, TaskFilter(shown=((text, False),))) == "5 3 2 1 0"
    for by in (By.PARAMETER, By.METRIC):
        assert await listed(works, TaskFilter(), Order(by, group=text, name=text)) == "5 3 2 1 0"
    assert await listed(works, TaskFilter()) == "5 3 2 1 0"
