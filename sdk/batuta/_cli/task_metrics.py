"""`batuta task metrics`: the scalars of a task."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from batuta._cli.arguments import SubParsers, add_json, command
from batuta._cli.context import Context
from batuta._cli.tasks import add_task

if TYPE_CHECKING:
    from batuta_proto.metrics import v1 as metrics


def add(parent: SubParsers, context: Context) -> None:
    """Add the command."""
    parser = command(
        parent,
        "metrics",
        "show what a task has reported",
        "batuta task metrics 01987e0c5b7a7f10a3d2c4e5f6a7b8c9",
        "batuta task metrics -f 01987e0c5b7a7f10a3d2c4e5f6a7b8c9 --metric loss",
    )
    add_task(parser)
    parser.add_argument(
        "-f", "--follow", action="store_true", help="print all points, then new ones until the task has ended"
    )
    parser.add_argument("--metric", default="", metavar="TITLE", help="only this metric")
    parser.add_argument("--variant", default="", metavar="SERIES", help="only this variant of it")
    add_json(parser)
    parser.set_defaults(run=partial(print_metrics, context))


def print_metrics(context: Context, args: argparse.Namespace) -> None:
    """Print a line for each series, or for each point when following."""
    if args.follow:
        _print_points(context, args)
        return
    from batuta._cli import pages, render, tables
    from batuta_proto.metrics import v1 as metrics

    with context.connect() as client:

        def fetch(page_size: int, page_token: str) -> tuple[list[metrics.ScalarSummary], str]:
            request = metrics.ListScalarsRequest(task_id=args.task, page_size=page_size, page_token=page_token)
            answer = client.metrics.ListScalars(request)
            return list(answer.scalars), answer.next_page_token

        found = [each for each in pages.gather(fetch) if _wanted(each, args)]
    if args.json:
        context.print(render.listed("scalars", found))
        return
    headers = ("METRIC", "VARIANT", "COUNT", "ITERATION", "LAST", "MIN", "MAX")
    table = tables.render(headers, [_row(each) for each in found], width=context.width, right=headers[2:])
    context.print(table)


def _wanted(summary: metrics.ScalarSummary, args: argparse.Namespace) -> bool:
    return args.metric in ("", summary.metric) and args.variant in ("", summary.variant)


def _row(summary: metrics.ScalarSummary) -> tuple[object, ...]:
    from batuta._cli.render import number

    values = (number(summary.last_value), number(summary.min_value), number(summary.max_value))
    return (summary.metric, summary.variant, summary.count, summary.last_iteration, *values)


def _print_points(context: Context, args: argparse.Namespace) -> None:
    from batuta._cli import follow
    from batuta_proto.metrics import v1 as metrics

    with context.connect() as client:

        def open_stream(position: int) -> Iterable[metrics.ReadScalarsResponse]:
            return client.metrics.ReadScalars(
                metrics.ReadScalarsRequest(
                    task_id=args.task,
                    metric=args.metric,
                    variant=args.variant,
                    follow=True,
                    after_position=position,
                )
            )

        for answer in follow.read(context, open_stream, again=True):
            lines = [line for column in answer.columns for line in _lines(column, args.json)]
            if lines:
                context.print("\n".join(lines))


def _lines(column: metrics.ScalarColumn, as_json: bool) -> Iterable[str]:
    from batuta._cli import render, tables

    name = f"{tables.clean(column.metric)}/{tables.clean(column.variant)}"
    for iteration, when, value in zip(column.iterations, column.time_unix_millis, column.values):
        if as_json:
            point = {"metric": column.metric, "variant": column.variant, "iteration": iteration}
            yield json.dumps({**point, "time_unix_millis": when, "value": value}, ensure_ascii=False)
        else:
            yield f"{name}  {iteration}  {render.number(value)}"
