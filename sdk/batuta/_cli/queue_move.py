"""`batuta queue move`."""

from __future__ import annotations

import argparse
from functools import partial

from batuta._cli.arguments import SubParsers, add_json, command
from batuta._cli.context import Context
from batuta._cli.failures import USAGE, CliError


def add(parent: SubParsers, context: Context) -> None:
    """Add the command."""
    parser = command(
        parent,
        "move",
        "put what waits to another place, in its queue or in another one",
        "batuta queue move 01987e0c5b7a7f10a3d2c4e5f6a7b8c9 --front",
    )
    parser.add_argument("entry", metavar="TASK|ENTRY", help="id of the task, or of its entry")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--front", action="store_true", help="before all others, with the priority of the first")
    place.add_argument("--back", action="store_true", help="behind all others, with the priority of the last")
    place.add_argument("--before", metavar="TASK|ENTRY", help="right before this one, with its priority")
    parser.add_argument("--to", metavar="QUEUE", help="into this queue; alone: behind all of the same priority there")
    add_json(parser)
    parser.set_defaults(run=partial(move, context))


def move(context: Context, args: argparse.Namespace) -> None:
    """Move an entry, found by its own id or by its task's."""
    from batuta._cli import queue_entries, render
    from batuta_proto.queues import v1 as queues

    if not (args.front or args.back or args.before or args.to):
        raise CliError("say where: --front, --back, --before TASK or --to QUEUE.", USAGE)
    with context.connect() as client:
        request = queues.MoveEntryRequest(entry_id=queue_entries.entry_id(client, args.entry))
        if args.to:
            request.queue_id = queue_entries.queue(client, args.to).id
        if args.front:
            request.first = True
        elif args.back:
            request.last = True
        elif args.before:
            request.before_entry_id = queue_entries.entry_id(client, args.before)
        entry = client.queues.MoveEntry(request).entry
        name = queue_entries.queue(client, entry.queue_id).display_name
    if args.json:
        context.print(render.as_json(render.as_dict(entry)))
        return
    context.print(f"Task {entry.task_id} is moved: queue {name!r}, priority {entry.priority}.")
