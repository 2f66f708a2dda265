"""`batuta sync`: sends what this machine still holds of its runs."""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from batuta._cli.arguments import SubParsers, command, duration
from batuta._cli.context import Context
from batuta._cli.failures import FAILED, OK, USAGE, CliError

if TYPE_CHECKING:
    from batuta_courier.syncing import Held

_HEADERS = ("TASK", "ATTEMPT", "RUN", "SIZE", "LOG", "POINTS", "STATE", "WHY")


def add(parent: SubParsers, context: Context) -> None:
    """Add the command."""
    parser = command(
        parent,
        "sync",
        "send what this machine still holds of runs whose server was away",
        "batuta sync --dry-run",
        "batuta sync --timeout 10m",
        "batuta sync --delete",
    )
    parser.add_argument("--dry-run", action="store_true", help="only list what is held")
    parser.add_argument(
        "--timeout", type=duration, default=60.0, metavar="TIME", help="how long to try for each run (60s)"
    )
    parser.add_argument(
        "--agent-data", type=Path, metavar="DIR", help="the state folder of an agent, to send what it keeps as well"
    )
    parser.add_argument("--delete", action="store_true", help="delete what the server has refused; asks first")
    parser.add_argument("--yes", action="store_true", help="with --delete: do not ask")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=partial(sync, context))


def sync(context: Context, args: argparse.Namespace) -> int:
    """List, send, delete. The exit code is 0 when nothing is left that a server should have."""
    from batuta_courier import syncing

    if args.dry_run and args.delete:
        raise CliError("--dry-run changes nothing and --delete does: give one of the two.", USAGE)
    found = _look(context, args.agent_data)
    if args.delete:
        found = _delete(context, found, ask=not args.yes)
    elif not args.dry_run:
        found = _send(context, found, args.timeout)
    _print(context, found, as_json=args.json)
    return FAILED if any(each.state in (syncing.WAITING, syncing.REFUSED) for each in found) else OK


def _look(context: Context, agent_data: Path | None) -> list[Held]:
    from batuta_courier import syncing

    if agent_data is not None and not (agent_data / "attempts").is_dir():
        raise CliError(f"{agent_data} is no agent's state folder: it has no attempts in it.")
    roots = [syncing.home(context.env)]
    if agent_data is not None:
        roots += syncing.agent_spools(agent_data)
    return [each for root in roots for each in syncing.held(root)]


def _send(context: Context, found: list[Held], seconds: float) -> list[Held]:
    """Send what waits, and once more what was refused. Returns all as they are now."""
    import dataclasses

    from batuta_courier import syncing

    after: list[Held] = []
    wanted = [each for each in found if each.state in (syncing.WAITING, syncing.REFUSED)]
    for each in found:
        if each not in wanted:
            after.append(each)
            continue
        context.note(f"sending task {each.run.task_id} (attempt {each.run.attempt}), {_sizes(each)}")
        trouble = syncing.ship(each, context.env, context.clock, context.ids, seconds)
        now = dataclasses.replace(each, state=syncing.WHOLE, why="sent", log_bytes=0, points=0)
        if trouble is not None:
            left = [one for one in syncing.held(each.path.parent) if one.path == each.path]
            now = dataclasses.replace(left[0] if left else each, why=trouble)
        after.append(now)
    return after


def _delete(context: Context, found: list[Held], *, ask: bool) -> list[Held]:
    from batuta_courier import syncing

    refused = [each for each in found if each.state == syncing.REFUSED]
    if refused and ask:
        context.note(f"{len(refused)} run(s) would be deleted from this machine; no server has the rest of their data:")
        for each in refused:
            context.note(f"  task {each.run.task_id} (attempt {each.run.attempt}), {_sizes(each)}: {each.why}")
        context.stderr.write("Delete? [y/N] ")
        context.stderr.flush()
        if context.stdin.readline().strip().lower() not in ("y", "yes"):
            raise CliError("nothing was deleted. `batuta sync` tries to send them again.")
    gone = {each.path for each in refused if syncing.delete(each)}
    return [each for each in found if each.path not in gone]


def _sizes(each: Held) -> str:
    from batuta._cli import render

    return f"{render.size(each.log_bytes)} of log and {each.points} points"


def _print(context: Context, found: list[Held], *, as_json: bool) -> None:
    from batuta._cli import render, tables

    if as_json:
        rows = [
            {
                "task_id": each.run.task_id,
                "attempt": each.run.attempt,
                "mode": each.run.mode,
                "api": each.run.api,
                "path": str(each.path),
                "size_bytes": each.size_bytes,
                "log_bytes": each.log_bytes,
                "points": each.points,
                "state": each.state,
                "why": each.why,
            }
            for each in found
        ]
        context.print(json.dumps({"spools": rows}, indent=2))
        return
    if not found:
        context.print("This machine holds nothing that a server should have.")
        return
    cells = [
        (
            each.run.task_id,
            each.run.attempt,
            each.run.mode,
            render.size(each.size_bytes),
            render.size(each.log_bytes),
            each.points,
            each.state,
            each.why,
        )
        for each in found
    ]
    right = ("ATTEMPT", "SIZE", "LOG", "POINTS")
    context.print(tables.render(_HEADERS, cells, width=context.width, whole=("TASK", "STATE"), right=right))
