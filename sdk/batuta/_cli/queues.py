"""`batuta queue create|list|show`."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from batuta._cli.arguments import SubParsers, add_json, command
from batuta._cli.context import Context

if TYPE_CHECKING:
    from batuta_proto.queues import v1 as queues

_STATES = ("waiting", "offered", "held", "running")


def add(parent: SubParsers, context: Context) -> None:
    """Add the commands."""
    create = command(parent, "create", "make a queue", "batuta queue create gpu")
    create.add_argument("name", metavar="NAME", help="name of the queue; spaces and any letters are fine")
    create.add_argument("--description", default="", metavar="TEXT", help="free text")
    add_json(create)
    create.set_defaults(run=partial(create_queue, context))
    listing = command(parent, "list", "list queues by name", "batuta queue list")
    add_json(listing)
    listing.set_defaults(run=partial(list_queues, context))
    show = command(parent, "show", "show a queue and what waits and runs in it", "batuta queue show default")
    show.add_argument("queue", metavar="NAME", help="name or id of the queue")
    show.add_argument(
        "--state", action="append", default=[], choices=_STATES, help="only entries in this state; may be repeated"
    )
    add_json(show)
    show.set_defaults(run=partial(show_queue, context))


def create_queue(context: Context, args: argparse.Namespace) -> None:
    """Make a queue."""
    from batuta._cli import render
    from batuta_proto.queues import v1 as queues

    with context.connect() as client:
        request = queues.CreateQueueRequest(
            display_name=args.name, description=args.description, request_id=context.ids.request_id()
        )
        queue = client.queues.CreateQueue(request).queue
    if args.json:
        context.print(render.as_json(render.as_dict(queue)))
        return
    context.print(f"Queue {queue.display_name!r} is made ({queue.id}).")


def list_queues(context: Context, args: argparse.Namespace) -> None:
    """Print all queues with their counts."""
    from batuta._cli import pages, render, tables
    from batuta_proto.queues import v1 as queues

    with context.connect() as client:

        def fetch(page_size: int, page_token: str) -> tuple[list[queues.Queue], str]:
            answer = client.queues.ListQueues(queues.ListQueuesRequest(page_size=page_size, page_token=page_token))
            return list(answer.queues), answer.next_page_token

        found = pages.gather(fetch)
    if args.json:
        context.print(render.listed("queues", found))
        return
    headers = ("NAME", "WAITING", "RUNNING", "AGENTS", "PAUSED", "ID")
    rows = [(each.display_name, *_counts(each), render.moment(each.status.pause_time), each.id) for each in found]
    context.print(tables.render(headers, rows, width=context.width, right=headers[1:4]))


def show_queue(context: Context, args: argparse.Namespace) -> None:
    """Print a queue and its entries, next first."""
    from batuta._cli import queue_entries, render, tables
    from batuta_proto.queues import v1 as queues

    with context.connect() as client:
        queue = queue_entries.queue(client, args.queue)
        states = [f"ENTRY_STATE_{state.upper()}" for state in dict.fromkeys(args.state)]
        entries = queue_entries.listed(client, queue.id, limit=1000, states=states)
    if args.json:
        shown = {"queue": render.as_dict(queue), "entries": [render.as_dict(entry) for entry in entries]}
        context.print(render.as_json(shown))
        return
    waiting, running, agents = _counts(queue)
    facts = [("name", queue.display_name), ("id", queue.id), ("description", queue.description)]
    facts.append(("made", render.moment(queue.create_time)))
    held = queue.status.held_count or ""
    counts = [("waiting", waiting), ("held", held), ("running", running), ("agents", agents)]
    pause = queue_entries.paused(queue).removeprefix("is paused ")
    context.print(tables.facts([*facts, *counts, ("paused", pause)]))
    if entries:
        headers = ("PLACE", "TASK", "STATE", "PRIORITY", "ATTEMPT", "AGENT", "QUEUED", "WAITS", "TRIES", "WHY")
        now = context.clock.unix_millis()
        rows = [
            (
                entry.place or "",
                entry.task_id,
                render.word(queues.EntryState, entry.state, "ENTRY_STATE_"),
                entry.priority,
                entry.attempt or "",
                entry.agent_id,
                render.moment(entry.enqueue_time),
                _waits(entry, now),
                _tries(entry),
                entry.hold_reason or _pause(entry),
            )
            for entry in entries
        ]
        context.print(
            "\n" + tables.render(headers, rows, width=context.width, whole=("TASK",), right=("PLACE", *headers[3:5]))
        )


def _waits(entry: queues.Entry, now: int) -> str:
    """For how long it has waited."""
    from batuta._cli import render

    return render.span((now - entry.wait_time.ToMilliseconds()) / 1000) if entry.HasField("wait_time") else ""


def _tries(entry: queues.Entry) -> str:
    """`2 lost, 1 failed`: what earlier attempts came to."""
    ends = ((entry.infrastructure_losses, "lost"), (entry.failures, "failed"), (entry.preemptions, "preempted"))
    return ", ".join(f"{count} {word}" for count, word in ends if count)


def _pause(entry: queues.Entry) -> str:
    from batuta._cli import render

    return f"waits until {render.moment(entry.not_before_time)}" if entry.HasField("not_before_time") else ""


def _counts(queue: queues.Queue) -> tuple[int, int, int]:
    return queue.status.waiting_count, queue.status.running_count, queue.status.agent_count
