"""`batuta task logs`: the console of a task, byte for byte."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from batuta._cli.arguments import SubParsers, command, positive
from batuta._cli.context import Context
from batuta._cli.failures import CliError
from batuta._cli.tasks import add_task, state

if TYPE_CHECKING:
    from batuta_proto.logs import v1 as logs


def add(parent: SubParsers, context: Context) -> None:
    """Add the command."""
    parser = command(
        parent,
        "logs",
        "print the console of a task as it was written",
        "batuta task logs -f 01987e0c5b7a7f10a3d2c4e5f6a7b8c9",
    )
    add_task(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the task has ended")
    parser.add_argument("--attempt", type=positive, default=0, metavar="N", help="only this attempt (all)")
    parser.add_argument("--tail", type=positive, default=0, metavar="BYTES", help="begin so many bytes before the end")
    parser.set_defaults(run=partial(print_logs, context))


def print_logs(context: Context, args: argparse.Namespace) -> None:
    """Write the log's bytes to stdout; when it was followed to the end, say on stderr how the task ended."""
    from batuta._cli import follow
    from batuta_proto.logs import v1 as logs
    from batuta_proto.tasks import v1 as tasks

    with context.connect() as client:
        if args.attempt and not args.follow:  # who follows may wait for an attempt that is still to come
            newest = client.tasks.GetTask(tasks.GetTaskRequest(task_id=args.task)).task.status.attempt
            if args.attempt > newest:
                raise CliError(f"task {args.task} has no attempt {args.attempt}; its newest is {newest}.")

        def open_stream(position: int) -> Iterable[logs.ReadLogResponse]:
            return client.logs.ReadLog(
                logs.ReadLogRequest(
                    task_id=args.task,
                    attempt=args.attempt,
                    follow=args.follow,
                    after_position=position,
                    tail_bytes=0 if position else args.tail,
                )
            )

        for answer in follow.read(context, open_stream, again=args.follow):
            data = b"".join(chunk.data for chunk in answer.chunks)
            if data:
                context.write(data)
        if args.follow:
            task = client.tasks.GetTask(tasks.GetTaskRequest(task_id=args.task)).task
            why = f": {task.status.message}" if task.status.message else ""
            context.note(f"task {task.id} is {state(task)}{why}")
