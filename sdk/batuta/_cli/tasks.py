"""`batuta task list|show|enqueue|clone`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from batuta._cli.arguments import SubParsers, add_json, command, positive, whole_number
from batuta._cli.context import Context
from batuta._cli.retry_flags import add_retry
from batuta._cli.task_filter import add_columns, add_filter, add_order, columns_of, filter_of, order_of

if TYPE_CHECKING:
    from batuta._cli.client import Client
    from batuta_proto.tasks import v1 as tasks

NOTHING: Mapping[str, tasks.ColumnValues] = MappingProxyType({})


def add(parent: SubParsers, context: Context) -> None:
    """Add the commands."""
    _add_list(parent, context)
    _add_show(parent, context)
    _add_enqueue(parent, context)
    _add_clone(parent, context)


def _add_list(parent: SubParsers, context: Context) -> None:
    parser = command(
        parent,
        "list",
        "list tasks, newest first",
        "batuta task list --project examples --state running --state queued",
        "batuta task list --metric 'accuracy/test>=0.9' --sort metric:accuracy/test",
    )
    parser.add_argument("--limit", type=positive, default=50, metavar="N", help="at most so many (50)")
    add_order(parser)
    add_columns(parser)
    add_json(parser)
    add_filter(parser)
    parser.set_defaults(run=partial(list_tasks, context))


def _add_show(parent: SubParsers, context: Context) -> None:
    parser = command(
        parent, "show", "show a task, or several in a table", "batuta task show 01987e0c5b7a7f10a3d2c4e5f6a7b8c9"
    )
    parser.add_argument("tasks", metavar="ID", nargs="+", help="ids of the tasks, whole")
    add_json(parser)
    parser.set_defaults(run=partial(show_task, context))


def _add_enqueue(parent: SubParsers, context: Context) -> None:
    parser = command(
        parent,
        "enqueue",
        "put a task into a queue",
        "batuta task enqueue 01987e0c5b7a7f10a3d2c4e5f6a7b8c9 --queue gpu --create-queue",
    )
    add_task(parser)
    parser.add_argument("--queue", default="default", metavar="NAME", help="name of the queue (default)")
    parser.add_argument("--create-queue", action="store_true", help="make the queue when it is missing")
    parser.add_argument(
        "--priority",
        type=whole_number(-(2**31)),
        default=0,
        metavar="N",
        help="greater goes first inside the queue (0)",
    )
    add_retry(parser)
    add_json(parser)
    parser.set_defaults(run=partial(enqueue_task, context))


def _add_clone(parent: SubParsers, context: Context) -> None:
    parser = command(
        parent,
        "clone",
        "make a draft with the same spec",
        "batuta task clone 01987e0c5b7a7f10a3d2c4e5f6a7b8c9 --name again",
    )
    add_task(parser)
    parser.add_argument("--name", default="", help="name of the copy (the same name)")
    parser.add_argument("--project", default="", metavar="NAME", help="project of the copy (the same project)")
    add_retry(parser)
    add_json(parser)
    parser.set_defaults(run=partial(clone_task, context))


def add_task(parser: argparse.ArgumentParser) -> None:
    """The argument that says which task."""
    parser.add_argument("task", metavar="ID", help="id of the task, whole")


def list_tasks(context: Context, args: argparse.Namespace) -> None:
    """Print tasks that match all that was asked."""
    from batuta._cli import pages

    request = columns_of(args)
    request.filter.CopyFrom(filter_of(args, context.clock))
    request.order_by.CopyFrom(order_of(args))
    values: dict[str, tasks.ColumnValues] = {}
    with context.connect() as client:

        def fetch(page_size: int, page_token: str) -> tuple[list[tasks.Task], str]:
            request.page_size, request.page_token = page_size, page_token
            answer = client.tasks.ListTasks(request)
            values.update(zip((task.id for task in answer.tasks), answer.values))
            return list(answer.tasks), answer.next_page_token

        found = pages.gather(fetch, args.limit)
    _print_list(context, args, found, values)


def _print_list(
    context: Context,
    args: argparse.Namespace,
    found: Sequence[tasks.Task],
    values: Mapping[str, tasks.ColumnValues] = NOTHING,
) -> None:
    from batuta._cli import render, tables

    asked: list[str] = getattr(args, "column", [])
    shown = {task.id: _columns(asked, values[task.id]) if asked else {} for task in found}
    if args.json:
        listed = [{**render.as_dict(task), **({"columns": shown[task.id]} if asked else {})} for task in found]
        context.print(render.as_json({"tasks": listed}))
        return
    headers = ("ID", "NAME", "PROJECT", "STATE", "QUEUE", "AGENT", "ITERATION", "UPDATED", *asked)
    rows = [(*_row(task), *map(_cell, shown[task.id].values())) for task in found]
    right = ("ITERATION", *(each for each in asked if each.startswith("metric:")))
    context.print(tables.render(headers, rows, width=context.width, right=right))


def _columns(asked: Sequence[str], values: tasks.ColumnValues) -> dict[str, float | str | None]:
    """What a task has of the columns asked for, by their keys; None for nothing."""
    metrics, parameters = iter(values.metrics), iter(values.parameters)
    found: dict[str, float | str | None] = {}
    for key in asked:
        each = next(metrics) if key.startswith("metric:") else next(parameters)
        found[key] = each.value if each.HasField("value") else None
    return found


def _cell(value: float | str | None) -> str:
    return value if isinstance(value, str) else "" if value is None else f"{value:.6g}"


def _row(task: tasks.Task) -> tuple[object, ...]:
    from batuta._cli import render

    status = task.status
    iteration = status.last_iteration if status.HasField("last_iteration") else ""
    runner = "local" if status.local else status.agent_id
    name, project = task.display_name, task.spec.project_name
    return task.id, name, project, state(task), status.queue_name, runner, iteration, render.moment(task.update_time)


def state(task: tasks.Task) -> str:
    """The task's state in one word."""
    from batuta._cli import render
    from batuta_proto.tasks import v1 as tasks

    return render.word(tasks.TaskState, task.status.state, "TASK_STATE_")


def show_task(context: Context, args: argparse.Namespace) -> None:
    """Print everything about one task, or a line about each of several."""
    from batuta._cli import render, task_page
    from batuta_proto.tasks import v1 as tasks

    if len(args.tasks) > 1:
        _show_several(context, args)
        return
    task_id = args.tasks[0]
    with context.connect() as client:
        task = client.tasks.GetTask(tasks.GetTaskRequest(task_id=task_id)).task
        attempts = [] if args.json or task.status.attempt < 2 else _newest_attempts(client, task_id)
    context.print(render.as_json(render.as_dict(task)) if args.json else task_page.page(task, attempts))


def _show_several(context: Context, args: argparse.Namespace) -> None:
    from batuta._cli.failures import CliError
    from batuta_proto.tasks import v1 as tasks

    with context.connect() as client:
        results = client.tasks.BatchGetTasks(tasks.BatchGetTasksRequest(task_ids=args.tasks)).results
    for each in results:
        if each.status.code:
            raise CliError(each.status.message)
    _print_list(context, args, [each.task for each in results])


def _newest_attempts(client: Client, task_id: str) -> list[tasks.Attempt]:
    """A few; none from a server of before."""
    from batuta._cli import task_attempts
    from batuta_rpc.errors import Unimplemented

    try:
        return task_attempts.fetch(client, task_id, 5)
    except Unimplemented:
        return []


def enqueue_task(context: Context, args: argparse.Namespace) -> None:
    """Put a task into a queue."""
    from batuta._cli import retry_flags
    from batuta._cli.failures import CliError, sentences
    from batuta_proto.tasks import v1 as tasks
    from batuta_rpc.errors import QueueNotFound

    request = tasks.EnqueueTaskRequest(
        task_id=args.task,
        queue_name=args.queue,
        create_queue=args.create_queue,
        priority=args.priority,
        request_id=context.ids.request_id(),
    )
    with context.connect() as client:
        if retry_flags.given(args):
            draft = client.tasks.GetTask(tasks.GetTaskRequest(task_id=args.task)).task
            retry_flags.put(client, context, draft, args)
        try:
            answer = client.tasks.EnqueueTask(request)
        except QueueNotFound as error:
            raise CliError(sentences(error.message, "With --create-queue it is made")) from None
    _say(context, args, answer.task, f"is in the queue {answer.task.status.queue_name!r}")


def clone_task(context: Context, args: argparse.Namespace) -> None:
    """Copy a task. The table form prints the new id alone, so that a script can take it."""
    from batuta._cli import retry_flags
    from batuta_proto.tasks import v1 as tasks

    request = tasks.CloneTaskRequest(
        task_id=args.task, display_name=args.name, project_name=args.project, request_id=context.ids.request_id()
    )
    with context.connect() as client:
        task = client.tasks.CloneTask(request).task
        if retry_flags.given(args):
            task = retry_flags.put(client, context, task, args)
    if not args.json:
        context.note(f"{task.display_name!r} is a draft; `batuta task enqueue {task.id}` runs it.")
        context.print(task.id)
        return
    _say(context, args, task, "")


def _say(context: Context, args: argparse.Namespace, task: tasks.Task, what: str) -> None:
    from batuta._cli import render

    context.print(render.as_json(render.as_dict(task)) if args.json else f"Task {task.id} {what}.")
