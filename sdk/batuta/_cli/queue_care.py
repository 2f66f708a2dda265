"""`batuta queue edit|clear|remove|delete`."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from batuta._cli.arguments import SubParsers, add_json, command
from batuta._cli.context import Context
from batuta._cli.failures import USAGE, CliError

if TYPE_CHECKING:
    from batuta._cli.client import Client
    from batuta_proto.queues import v1 as queues


def add(parent: SubParsers, context: Context) -> None:
    """Add the commands."""
    edit = command(parent, "edit", "rename a queue, or change what it says", "batuta queue edit gpu --rename gpu-large")
    edit.add_argument("--rename", metavar="NEW-NAME", help="its new name; tasks and agents stay in it")
    edit.add_argument("--description", metavar="TEXT", help="free text")
    edit.add_argument(
        "--lease-policy",
        choices=("strict", "fast", "keep"),
        help="of entries that come in from now on and bring none: what happens when their agent is lost",
    )
    _finish(edit, partial(edit_queue, context))
    clear = command(
        parent,
        "clear",
        "take out all that waits or is held; its tasks are drafts again, and what runs goes on",
        "batuta queue clear gpu --yes",
    )
    clear.add_argument("--yes", action="store_true", help="do not ask")
    _finish(clear, partial(clear_queue, context))
    remove = command(
        parent,
        "remove",
        "take out one entry that waits or is held; its task is a draft again",
        "batuta queue remove 01987e0c5b7a7f10a3d2c4e5f6a7b8c9",
    )
    remove.add_argument("entry", metavar="TASK|ENTRY", help="id of the task, or of its entry")
    add_json(remove)
    remove.set_defaults(run=partial(remove_entry, context))
    delete = command(
        parent, "delete", "remove a queue", "batuta queue delete scratch", "batuta queue delete gpu --force --yes"
    )
    delete.add_argument(
        "--force", action="store_true", help="take out what waits; its tasks are drafts again, and what runs goes on"
    )
    delete.add_argument("--yes", action="store_true", help="do not ask")
    _finish(delete, partial(delete_queue, context))


def edit_queue(context: Context, args: argparse.Namespace) -> None:
    """Change a queue."""
    from google.protobuf.field_mask_pb2 import FieldMask

    from batuta._cli import queue_entries
    from batuta_proto.queues import v1 as queues
    from batuta_proto.types import v1 as types

    asked, paths = queues.Queue(), FieldMask()
    if args.rename is not None:
        asked.display_name = args.rename
        paths.paths.append("display_name")
    if args.description is not None:
        asked.description = args.description
        paths.paths.append("description")
    if args.lease_policy is not None:
        policy: Any = types.LeasePolicy.Value(f"LEASE_POLICY_{args.lease_policy.upper()}")
        asked.spec.lease_policy = policy
        paths.paths.append("spec.lease_policy")
    if not paths.paths:
        raise CliError("say what to change: --rename, --description or --lease-policy.", USAGE)
    with context.connect() as client:
        known = queue_entries.queue(client, args.queue)
        asked.id, asked.etag = known.id, known.etag
        request = queues.UpdateQueueRequest(queue=asked, update_mask=paths, request_id=context.ids.request_id())
        queue = client.queues.UpdateQueue(request).queue
    _say(context, args, queue, f"Queue {queue.display_name!r} is changed.")


def clear_queue(context: Context, args: argparse.Namespace) -> None:
    """Take out all that does not run, call by call."""
    from batuta._cli import queue_entries, render
    from batuta_proto.queues import v1 as queues

    with context.connect() as client:
        queue = queue_entries.queue(client, args.queue)
        if not args.yes:
            _ask(context, f"{_entries(queue)} of queue {queue.display_name!r} would be taken out.", "Clear it?")
        count, more = 0, True
        while more:
            answer = client.queues.ClearQueue(queues.ClearQueueRequest(queue_id=queue.id))
            count, more = count + answer.removed_count, answer.more
    if args.json:
        context.print(render.as_json({"removed_count": str(count)}))
        return
    context.print(f"Queue {queue.display_name!r} is cleared: {count} tasks are drafts again.")


def remove_entry(context: Context, args: argparse.Namespace) -> None:
    """Take out one entry, found by its own id or by its task's."""
    from batuta._cli import queue_entries
    from batuta_proto.queues import v1 as queues

    with context.connect() as client:
        request = queues.RemoveEntryRequest(entry_id=queue_entries.entry_id(client, args.entry))
        entry = client.queues.RemoveEntry(request).entry
    _say(context, args, entry, f"Task {entry.task_id} is out of its queue, and a draft again.")


def delete_queue(context: Context, args: argparse.Namespace) -> None:
    """Remove a queue, once somebody has seen what is in it."""
    from batuta._cli import queue_entries

    with context.connect() as client:
        queue = queue_entries.queue(client, args.queue)
        if not args.yes:
            _ask(context, f"queue {queue.display_name!r}: {_state(queue)}.", "Delete it?")
        gone = _delete(context, client, queue, args.force)
    words = f"Queue {queue.display_name!r} is deleted"
    if gone.removed_count:
        words += f"; {gone.removed_count} tasks are drafts again"
    if gone.running_count:
        words += f"; {gone.running_count} run on to their end"
    _say(context, args, gone, f"{words}.")


def _delete(context: Context, client: Client, queue: queues.Queue, force: bool) -> queues.DeleteQueueResponse:
    from batuta_proto.queues import v1 as queues

    request = queues.DeleteQueueRequest(
        queue_id=queue.id, force=force, etag=queue.etag, request_id=context.ids.request_id()
    )
    return client.queues.DeleteQueue(request)


def _ask(context: Context, facts: str, question: str) -> None:
    context.note(facts)
    if not context.stdin.isatty():
        raise CliError("nobody can be asked here; add --yes.", USAGE)
    context.stderr.write(f"{question} [y/N] ")
    context.stderr.flush()
    if context.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CliError("nothing was changed.")


def _entries(queue: queues.Queue) -> str:
    count = queue.status.waiting_count
    return "1 entry" if count == 1 else f"{count} entries"


def _state(queue: queues.Queue) -> str:
    return (
        f"{_entries(queue)} waiting, {queue.status.running_count} running, {queue.status.agent_count} agents serve it"
    )


def _finish(parser: argparse.ArgumentParser, run: object) -> None:
    parser.add_argument("queue", metavar="NAME", help="name or id of the queue")
    add_json(parser)
    parser.set_defaults(run=run)


def _say(
    context: Context,
    args: argparse.Namespace,
    answer: queues.Queue | queues.Entry | queues.DeleteQueueResponse,
    text: str,
) -> None:
    from batuta._cli import render

    context.print(render.as_json(render.as_dict(answer)) if args.json else text)
