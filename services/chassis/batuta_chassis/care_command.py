"""The commands `batuta admin migrate|check|gc`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from batuta_chassis.admin_command import FOLDER, admin_parser


def migrate(subparsers: Any) -> None:
    """Add `batuta admin migrate`."""
    parser = _parser(
        subparsers,
        "migrate",
        "bring the databases of the services to the schema of this release, as their start does",
        "batuta admin migrate --check",
    )
    parser.add_argument("--check", action="store_true", help="only tell what is to be done; exit code 1 if anything is")
    parser.set_defaults(run=run_migrate)


def check(subparsers: Any) -> None:
    """Add `batuta admin check`."""
    parser = _parser(
        subparsers,
        "check",
        "prove from the tables that nothing is lost, doubled or left over, while the services run or not",
        "batuta admin check --data ~/.batuta/server",
    )
    parser.set_defaults(run=run_check)


def gc(subparsers: Any) -> None:
    """Add `batuta admin gc`."""
    parser = _parser(
        subparsers,
        "gc",
        "remove what has had its time (deleted tasks, old history, tokens) and what was left over",
        "batuta admin gc --dry-run",
    )
    parser.add_argument("--dry-run", action="store_true", help="only tell what would go; the services may run")
    parser.set_defaults(run=run_gc)


def _parser(subparsers: Any, name: str, sentence: str, example: str) -> argparse.ArgumentParser:
    parser = admin_parser(subparsers, name, sentence, example)
    parser.add_argument("--data", type=Path, metavar="DIR", help=f"data folder of SQLite files (default {FOLDER})")
    parser.add_argument("--database-url", default="", metavar="URL", help="PostgreSQL of the services")
    parser.add_argument("--config", default="", metavar="FILE", help="TOML file of the services' settings")
    return parser


def run_migrate(args: argparse.Namespace) -> int:
    """Migrate; the exit status is 1 when something stands in the way, or `--check` finds something to do."""
    from batuta_chassis import migrating
    from batuta_chassis.looking import targets
    from batuta_rpc.clock import SystemClock

    def work() -> int:
        clock, found = SystemClock(), list[migrating.Pending]()
        for target in targets(args):
            found.append(migrating.pending(target) if args.check else migrating.apply(target, clock))
        steps = sum(len(each.steps) for each in found)
        if args.json:
            _print_json(schemas=[{**vars(each), "steps": list(each.steps)} for each in found])
        for each in () if args.json else found:
            state = f"at {each.newest}" if each.revision else "no database yet: the service makes it at its first start"
            done = "to do" if args.check else "done"
            print(f"{each.service}: {f'{len(each.steps)} {done}, from {each.revision}' if each.steps else state}")
            for step in each.steps:
                print(f"    {step}")
        return 1 if args.check and steps else 0

    return _run("migrate", work)


def run_check(args: argparse.Namespace) -> int:
    """Prove; the exit status is 1 when something does not hold."""
    from batuta_chassis import proving
    from batuta_chassis.looking import targets
    from batuta_rpc.clock import SystemClock

    def work() -> int:
        proofs = proving.prove(targets(args), SystemClock())
        broken = sum(1 for each in proofs if each.breaks)
        if args.json:
            _print_json(invariants=[each.as_dict() for each in proofs], broken_count=broken)
        else:
            print(proving.as_table(proofs))
            print(f"{len(proofs)} invariants looked at, {broken} broken.")
        return 1 if broken else 0

    return _run("check", work)


def run_gc(args: argparse.Namespace) -> int:
    """Clear; the exit status is 1 when something stands in the way."""
    from batuta_chassis import clearing
    from batuta_chassis.looking import targets
    from batuta_rpc.clock import SystemClock

    def work() -> int:
        look = clearing.would_clear if args.dry_run else clearing.clear
        found = look(targets(args), SystemClock())
        if args.json:
            _print_json(cleared=[vars(each) for each in found], dry_run=args.dry_run)
            return 0
        width = max(len(each.name) for each in found)
        for each in found:
            print(f"{each.service:<5}  {each.name:<{width}}  {each.rows:>9}  {each.sentence}")
        total = sum(each.rows for each in found)
        print(f"{total} would go." if args.dry_run else f"{total} removed.")
        return 0

    return _run("gc", work)


def _print_json(**content: Any) -> None:
    print(json.dumps(content, indent=2, ensure_ascii=False))


def _run(verb: str, work: Callable[[], int]) -> int:
    from sqlalchemy.exc import DBAPIError

    from batuta_chassis.settings import SettingsError

    try:
        return work()
    except SettingsError as error:
        text = str(error)
    except DBAPIError as error:
        text = f"the database cannot be read: {' '.join(str(error.orig).split())}. Does it belong to the services?"
    print(f"batuta admin {verb}: {text}", file=sys.stderr)
    return 1
