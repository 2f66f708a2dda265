"""`batuta queue pause|resume`."""

from __future__ import annotations

import argparse
from functools import partial

from batuta._cli.arguments import SubParsers, add_json, command
from batuta._cli.context import Context


def add(parent: SubParsers, context: Context) -> None:
    """Add the commands."""
    for verb, sentence in (
        ("pause", "have nothing of a queue offered to agents; what runs goes on"),
        ("resume", "have a paused queue go on"),
    ):
        parser = command(parent, verb, sentence, f"batuta queue {verb} gpu")
        parser.add_argument("queue", metavar="NAME", help="name or id of the queue")
        add_json(parser)
        parser.set_defaults(run=partial(change, context, verb))


def change(context: Context, verb: str, args: argparse.Namespace) -> None:
    """Pause or resume a queue."""
    from batuta._cli import queue_entries, render
    from batuta_proto.queues import v1 as queues

    with context.connect() as client:
        queue_id = queue_entries.queue(client, args.queue).id
        if verb == "pause":
            queue = client.queues.PauseQueue(queues.PauseQueueRequest(queue_id=queue_id)).queue
        else:
            queue = client.queues.ResumeQueue(queues.ResumeQueueRequest(queue_id=queue_id)).queue
    if args.json:
        context.print(render.as_json(render.as_dict(queue)))
        return
    context.print(f"Queue {queue.display_name!r} {queue_entries.paused(queue) or 'gives out what waits'}.")
