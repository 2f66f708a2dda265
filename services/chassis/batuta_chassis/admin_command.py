"""The commands `batuta admin backup|restore`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

FOLDER = Path.home() / ".batuta" / "server"


def backup(subparsers: Any) -> None:
    """Add `batuta admin backup`."""
    parser = admin_parser(
        subparsers,
        "backup",
        "copy databases, artifacts, keys and logins of the server on this machine, while it runs",
        "batuta admin backup /backups/monday",
    )
    parser.add_argument("target", type=Path, metavar="DIR", help="a folder that is not there yet")
    parser.add_argument("--data", type=Path, default=FOLDER, metavar="DIR", help=f"data folder (default {FOLDER})")
    parser.add_argument(
        "--no-artifacts", action="store_true", help="leave the bytes of artifacts out; copy their folder by other means"
    )
    _add_database(parser, "the services' database, where it is on PostgreSQL (needs pg_dump)")
    parser.set_defaults(run=run_backup)


def restore(subparsers: Any) -> None:
    """Add `batuta admin restore`."""
    parser = admin_parser(
        subparsers,
        "restore",
        "make a data folder from a backup, whose files are checked first",
        "batuta admin restore /backups/monday --data ~/.batuta/server",
    )
    parser.add_argument("source", type=Path, metavar="BACKUP", help="folder that `batuta admin backup` wrote")
    parser.add_argument(
        "--data", type=Path, default=FOLDER, metavar="DIR", help=f"data folder, new or empty (default {FOLDER})"
    )
    _add_database(parser, "a new database for what was on PostgreSQL (needs pg_restore)")
    parser.set_defaults(run=run_restore)


def _add_database(parser: argparse.ArgumentParser, words: str) -> None:
    parser.add_argument("--database-url", default="", metavar="URL", help=f"{words}: postgresql://USER@HOST/NAME")


def admin_parser(subparsers: Any, name: str, sentence: str, example: str) -> argparse.ArgumentParser:
    """The parser of `batuta admin NAME`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=sentence,
        description=f"{sentence[0].upper()}{sentence[1:]}.",
        epilog=f"Example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def run_backup(args: argparse.Namespace) -> int:
    """Copy; the exit status is 1 when something stands in the way."""
    from batuta_chassis import backup as copying
    from batuta_rpc.clock import SystemClock

    data, target = _whole(args.data), _whole(args.target)
    with_artifacts = not args.no_artifacts
    dump = partial(_dump, args.database_url) if args.database_url else None
    code = _told(args, "backup", lambda: copying.backup(data, target, SystemClock().now(), with_artifacts, dump))
    if code == 0 and not with_artifacts:
        print(f"batuta admin backup: {data / copying.ARTIFACTS} is not in it; copy it after this", file=sys.stderr)
    return code


def run_restore(args: argparse.Namespace) -> int:
    """Bring back; the exit status is 1 when something stands in the way."""
    from batuta_chassis import backup as copying

    source, data = _whole(args.source), _whole(args.data)
    load = partial(_load, args.database_url) if args.database_url else None
    return _told(args, "restore", lambda: copying.restore(source, data, load))


def _dump(url: str, target: Path) -> None:
    from batuta_chassis import administered, backup_postgres

    backup_postgres.dump(url, list(administered.installed()), target)


def _load(url: str, source: Path) -> None:
    from batuta_chassis import administered, backup_postgres
    from batuta_rpc.ids import SystemIds

    backup_postgres.load(source, url, administered.installed(), SystemIds())


def _whole(path: Path) -> Path:
    return path.expanduser().absolute()


def _told(args: argparse.Namespace, verb: str, copy: Callable[[], Any]) -> int:
    from batuta_chassis.settings import SettingsError

    try:
        copied = copy()
    except SettingsError as error:
        print(f"batuta admin {verb}: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps({"folder": str(copied.folder), "files": copied.files, "bytes": copied.size}))
    else:
        print(f"{copied.folder}: {copied.files} files, {copied.size} bytes.")
    return 0
