"""`batuta task watch`: a line for each change of the tasks that fit."""

from __future__ import annotations

import argparse
import json
from functools import partial
from typing import TYPE_CHECKING

from batuta._cli.arguments import SubParsers, command
from batuta._cli.context import Context
from batuta._cli.task_filter import add_filter, filter_of

if TYPE_CHECKING:
    from batuta_proto.tasks import v1 as tasks


def add(parent: SubParsers, context: Context) -> None:
    """Add the command."""
    parser = command(
        parent, "watch", "follow tasks: a line for each change, until Ctrl-C", "batuta task watch --project vision"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")
    add_filter(parser)
    parser.set_defaults(run=partial(watch_tasks, context))


def watch_tasks(context: Context, args: argparse.Namespace) -> None:
    """Print what there is, then each change. A server that goes away is connected to again where it was left."""
    from batuta._cli import follow
    from batuta_proto.tasks import v1 as tasks

    request = tasks.WatchTasksRequest(filter=filter_of(args, context.clock))
    with context.connect() as client:
        for answer in follow.lasting(context, lambda: client.tasks.WatchTasks(request)):
            request.resume_token = answer.resume_token or request.resume_token
            _print(context, args, answer)


def _print(context: Context, args: argparse.Namespace, answer: tasks.WatchTasksResponse) -> None:
    from batuta._cli import render
    from batuta._cli.tasks import state

    if args.json:
        context.print(json.dumps(render.as_dict(answer), ensure_ascii=False))
    elif answer.HasField("task"):
        task = answer.task
        iteration = f"  iteration {task.status.last_iteration}" if task.status.HasField("last_iteration") else ""
        context.print(f"{task.id}  {state(task)}  {task.spec.project_name}/{task.display_name}{iteration}")
    elif answer.HasField("gone_task_id"):
        context.print(f"{answer.gone_task_id}  -")
