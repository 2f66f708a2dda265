"""`batuta audit changes|refusals`."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from batuta._cli.arguments import SubParsers, add_json, command, duration
from batuta._cli.context import Context

if TYPE_CHECKING:
    from batuta_proto.audit import v1 as audit


def add(parent: SubParsers, context: Context) -> None:
    """Add the commands."""
    changes = command(
        parent,
        "changes",
        "who changed what, when and from where, newest first, for admins",
        "batuta audit changes --of 0198f0c2a1b37c1e9a3e5d2b4c6f7a88",
    )
    changes.add_argument("--by", default="", metavar="NAME", help="only by this user, or by agent:ID")
    changes.add_argument("--of", default="", metavar="ID", help="only of this task, project, queue, agent, user, …")
    changes.add_argument("--call", default="", metavar="NAME", help="only calls of this name, as AbortTask")
    changes.add_argument("--newer-than", type=duration, metavar="TIME", help="only within this time: 90m, 12h, 7d")
    _finish(changes, partial(list_changes, context))
    refusals = command(
        parent,
        "refusals",
        "calls refused for whom they came from, newest kind first, for admins",
        "batuta audit refusals --task 0198f0c2a1b37c1e9a3e5d2b4c6f7a88",
    )
    refusals.add_argument("--by", default="", metavar="NAME", help="only of this caller")
    refusals.add_argument("--task", default="", metavar="ID", help="only about this task")
    _finish(refusals, partial(list_refusals, context))


def _finish(parser: argparse.ArgumentParser, run: object) -> None:
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="at most so many (50); 0 is all")
    add_json(parser)
    parser.set_defaults(run=run)


def list_changes(context: Context, args: argparse.Namespace) -> None:
    """Print changes."""
    from batuta._cli import pages, render, tables
    from batuta_proto.audit import v1 as audit

    wanted = audit.ListChangesRequest.Filter(subject=args.by, resource_id=args.of, method=args.call)
    if args.newer_than is not None:
        start: Any = getattr(wanted, "from")
        start.FromSeconds(int(context.clock.now().timestamp() - args.newer_than))
    with context.connect() as client:

        def fetch(page_size: int, page_token: str) -> tuple[list[audit.Change], str]:
            request = audit.ListChangesRequest(filter=wanted, page_size=page_size, page_token=page_token)
            answer = client.audit.ListChanges(request)
            return list(answer.changes), answer.next_page_token

        found = pages.gather(fetch, args.limit or None)
    if args.json:
        context.print(render.listed("changes", found))
        return
    headers = ("TIME", "WHO", "FROM", "CALL", "OF", "OUTCOME", "REQUEST")
    rows = [
        (
            render.moment(each.time),
            each.subject,
            each.peer,
            each.method.rpartition("/")[2],
            f"{each.resource_type} {each.resource_id}".strip(),
            each.outcome,
            each.request,
        )
        for each in found
    ]
    context.print(tables.render(headers, rows, width=context.width, whole=("OF",)))


def list_refusals(context: Context, args: argparse.Namespace) -> None:
    """Print refusals."""
    from batuta._cli import pages, render, tables
    from batuta_proto.audit import v1 as audit

    wanted = audit.ListRefusalsRequest.Filter(subject=args.by, task_id=args.task)
    with context.connect() as client:

        def fetch(page_size: int, page_token: str) -> tuple[list[audit.Refusal], str]:
            request = audit.ListRefusalsRequest(filter=wanted, page_size=page_size, page_token=page_token)
            answer = client.audit.ListRefusals(request)
            return list(answer.refusals), answer.next_page_token

        found = pages.gather(fetch, args.limit or None)
    if args.json:
        context.print(render.listed("refusals", found))
        return
    headers = ("FIRST", "LAST", "COUNT", "WHO", "CALL", "REASON", "TASK", "ATTEMPT", "MESSAGE")
    rows = [
        (
            render.moment(each.time),
            render.moment(each.last_time),
            str(each.count),
            each.subject,
            each.method.rpartition("/")[2],
            each.reason,
            each.task_id,
            str(each.attempt or ""),
            each.message,
        )
        for each in found
    ]
    context.print(tables.render(headers, rows, width=context.width, whole=("TASK",)))
