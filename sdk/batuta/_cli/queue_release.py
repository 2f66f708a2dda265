"""`batuta queue release`."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from batuta._cli.arguments import SubParsers, add_json, command
from batuta._cli.context import Context
from batuta._cli.failures import CliError

if TYPE_CHECKING:
    from batuta._cli.client import Client


def add(parent: SubParsers, context: Context) -> None:
    """Add the command."""
    parser = command(
        parent,
        "release",
        "give a held entry to agents again, its counters at zero",
        "batuta queue release 01987e0c5b7a7f10a3d2c4e5f6a7b8c9",
    )
    parser.add_argument("entry", metavar="ENTRY|TASK", help="id of the entry, or of its task")
    add_json(parser)
    parser.set_defaults(run=partial(release, context))


def release(context: Context, args: argparse.Namespace) -> None:
    """Release an entry, found by its own id or by its task's."""
    from batuta._cli import render
    from batuta_proto.queues import v1 as queues
    from batuta_rpc.errors import EntryNotFound

    with context.connect() as client:
        try:
            entry = client.queues.ReleaseEntry(queues.ReleaseEntryRequest(entry_id=args.entry)).entry
        except EntryNotFound:
            found = _held_of_task(client, args.entry)
            entry = client.queues.ReleaseEntry(queues.ReleaseEntryRequest(entry_id=found)).entry
    if args.json:
        context.print(render.as_json(render.as_dict(entry)))
        return
    state = render.word(queues.EntryState, entry.state, "ENTRY_STATE_")
    context.print(f"Entry {entry.id} of task {entry.task_id} is {state}.")


def _held_of_task(client: Client, task_id: str) -> str:
    """The entry of a task that is held. Raises `CliError`."""
    from batuta._cli import queue_entries
    from batuta_proto.queues import v1 as queues
    from batuta_rpc.errors import TaskNotFound

    try:
        entry = queue_entries.of_task(client, task_id)
    except TaskNotFound:
        raise CliError(
            f"{task_id!r} is the id of no entry and of no task; `batuta queue show NAME` lists those of a queue."
        ) from None
    if entry is None or entry.state != queues.ENTRY_STATE_HELD:
        raise CliError(f"nothing of task {task_id} is held; `batuta task show {task_id}` says where it is.")
    return entry.id
