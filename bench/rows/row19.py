"""Row 19: a page of a list of 100,000 tasks with five metric columns, filtered and sorted.

The services are processes of their own, on SQLite and on PostgreSQL. Each page of 50 is asked for by gRPC with another
filter of the same kind: completed tasks whose metric is at least so much, best first by another metric, values of five
metrics beside each. Beside it: a call that reads one task.
"""

from __future__ import annotations

import random

from batuta_proto.tasks import v1 as tasks
from batuta_rpc.channel import open_sync
from bench import fill_tasks, measure
from bench.measure import Sample, Side
from bench.plan import Plan
from bench.report import Line, millis, number
from bench.stack import STORES, Stack
from bench.through import admin

TASKS, QUICK_TASKS = 100_000, 500
PAGES, QUICK_PAGES = 250, 5
GOAL_MILLIS = 50.0
COLUMNS = [tasks.MetricColumn(metric=f"m{at}", variant="test") for at in range(fill_tasks.METRICS)]


def run(plan: Plan) -> list[Line]:
    """p50 of a page on each store."""
    return [line for store in STORES for line in _on(plan, store)]


def _on(plan: Plan, store: str) -> list[Line]:
    size = QUICK_TASKS if plan.quick else TASKS
    with (
        Stack(plan.scratch / f"row19-{store}", store) as stack,
        open_sync(stack.api_endpoint, admin(stack), "bench") as channel,
    ):
        api = tasks.TaskServiceStub(channel)
        made = tasks.CreateTaskRequest(project_name="bench", display_name="template")
        template = api.CreateTask(made).task.id
        plan.progress(f"row 19, {store}: {size:,} tasks")
        fill_tasks.tasks(stack.database_url("api"), template, size)
        count = plan.count(PAGES, QUICK_PAGES)
        sides: dict[str, Side] = {
            "newest": lambda: _newest(plan, stack, api, count),
            "best": lambda: _best(plan, stack, api, count),
            "one": lambda: _one(stack, api, template, count),
        }
        results = measure.take_turns(plan.rounds, sides, lambda text: plan.progress(f"row 19, {store}, {text}"))
    one = f"GetTask {millis(measure.median_of(results['one'], lambda each: each.p50))}"
    lines: list[Line] = []
    for side, words in (("newest", "newest first"), ("best", "a tenth by one metric, best first by another")):
        ours = results[side]
        spread = measure.pooled(ours)
        ratio = measure.ratio(ours, results["one"], lambda each: each.p50)
        cpu = f"{number(measure.cpu_micros(ours) / 1e3)} ms a page in the services"
        title = f"50 of {size:,} tasks with {fill_tasks.METRICS} metrics, {words}, {store}, p50"
        lines.append(Line(19, title, spread.p50 / 1e6, "ms", GOAL_MILLIS, one, ratio, cpu))
        lines.append(Line(19, f"the same, p99 ({words}, {store})", spread.p99 / 1e6, "ms"))
    return lines


def _ask(stack: Stack, api: tasks.TaskServiceStub, requests: list[tasks.ListTasksRequest]) -> Sample:
    times: list[int] = []
    used = stack.cpu_seconds()
    for request in requests:
        start = measure.now_ns()
        answer = api.ListTasks(request)
        times.append(measure.now_ns() - start)
        if len(answer.tasks) != len(answer.values) or not answer.tasks:
            raise RuntimeError(f"a page of {len(answer.tasks)} tasks with {len(answer.values)} rows of values")
    return measure.sample(times, stack.cpu_seconds() - used)


def _newest(plan: Plan, stack: Stack, api: tasks.TaskServiceStub, count: int) -> Sample:
    wanted = tasks.ListTasksRequest.Filter(states=[tasks.TASK_STATE_COMPLETED])
    request = tasks.ListTasksRequest(filter=wanted, page_size=50, metric_columns=COLUMNS)
    return _ask(stack, api, [request] * count)


def _best(plan: Plan, stack: Stack, api: tasks.TaskServiceStub, count: int) -> Sample:
    chance = random.Random(plan.seed)
    requests: list[tasks.ListTasksRequest] = []
    for _ in range(count):
        least = tasks.NumberRange(low=chance.uniform(0.88, 0.92))
        condition = tasks.MetricCondition(metric="m0", variant="test", between=least)
        wanted = tasks.ListTasksRequest.Filter(states=[tasks.TASK_STATE_COMPLETED], metrics=[condition])
        order = tasks.TaskOrder(field=tasks.TASK_ORDER_FIELD_METRIC, group=f"m{chance.randrange(1, 5)}", name="test")
        requests.append(tasks.ListTasksRequest(filter=wanted, order_by=order, page_size=50, metric_columns=COLUMNS))
    return _ask(stack, api, requests)


def _one(stack: Stack, api: tasks.TaskServiceStub, task_id: str, count: int) -> Sample:
    times: list[int] = []
    used = stack.cpu_seconds()
    for _ in range(count):
        start = measure.now_ns()
        api.GetTask(tasks.GetTaskRequest(task_id=task_id))
        times.append(measure.now_ns() - start)
    return measure.sample(times, stack.cpu_seconds() - used)
