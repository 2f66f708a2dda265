"""`batuta task attempts`: every try of a task, and why it ended so."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from batuta._cli.arguments import SubParsers, add_json, command, positive
from batuta._cli.context import Context
from batuta._cli.tasks import add_task

if TYPE_CHECKING:
    from batuta._cli.client import Client
    from batuta_proto.tasks import v1 as tasks

HEADERS = ("ATTEMPT", "PHASE", "AGENT", "HOST", "STARTED", "ENDED", "REASON", "MESSAGE")


def add(parent: SubParsers, context: Context) -> None:
    """Add the command."""
    parser = command(
        parent,
        "attempts",
        "list the attempts of a task, newest first, and why each ended",
        "batuta task attempts 01987e0c5b7a7f10a3d2c4e5f6a7b8c9",
    )
    add_task(parser)
    parser.add_argument("--limit", type=positive, default=50, metavar="N", help="at most so many (50)")
    add_json(parser)
    parser.set_defaults(run=partial(list_attempts, context))


def list_attempts(context: Context, args: argparse.Namespace) -> None:
    """Print the attempts of one task."""
    from batuta._cli import render, tables

    with context.connect() as client:
        found = fetch(client, args.task, args.limit)
    if args.json:
        context.print(render.listed("attempts", found))
        return
    context.print(
        tables.render(HEADERS, [row(each) for each in found], width=context.width, whole=("ATTEMPT", "PHASE"))
    )


def fetch(client: Client, task_id: str, limit: int) -> list[tasks.Attempt]:
    """The newest attempts of a task."""
    from batuta._cli import pages
    from batuta_proto.tasks import v1 as tasks

    def one_page(page_size: int, page_token: str) -> tuple[list[tasks.Attempt], str]:
        request = tasks.ListAttemptsRequest(task_id=task_id, page_size=page_size, page_token=page_token)
        answer = client.tasks.ListAttempts(request)
        return list(answer.attempts), answer.next_page_token

    return pages.gather(one_page, limit)


def row(attempt: tasks.Attempt) -> tuple[object, ...]:
    """One attempt in the columns of `HEADERS`."""
    from batuta._cli import render
    from batuta_proto.types import v1 as types

    return (
        attempt.attempt,
        render.word(types.AttemptPhase, attempt.phase, "ATTEMPT_PHASE_"),
        "local" if attempt.local else attempt.agent_id,
        attempt.host,
        render.moment(attempt.start_time),
        render.moment(attempt.end_time),
        attempt.reason,
        attempt.message,
    )
