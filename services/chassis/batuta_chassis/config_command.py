"""The command `batuta config show`."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from typing import Any

_SERVICES = ("api", "queue", "autoscaler")


def show(subparsers: Any) -> None:
    """Add the command to the `batuta` program."""
    sentence = "every setting of the services: its value here, where that comes from, and how to set it"
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "show",
        help=sentence,
        description=f"{sentence[0].upper()}{sentence[1:]}.",
        epilog="Example:\n  batuta config show\n  batuta config show queue --json\n"
        "  batuta config show queue --config batuta.toml --flags=--port=9000",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("service", nargs="?", metavar="SERVICE", help="api, queue or autoscaler (default: all)")
    parser.add_argument(
        "--flags",
        default="",
        metavar="FLAGS",
        help="the service's flags, as in --flags='--port 9000'",
    )
    parser.add_argument("--config", default="", metavar="FILE", help="TOML file of settings")
    parser.add_argument("--set", action="store_true", help="only what is not at its default")
    parser.add_argument(
        "--undocumented", action="store_true", help="only settings without a description: there are none"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show; the exit status is 1 when a setting is wrong, or undocumented where that was asked."""
    from batuta_chassis import config_page
    from batuta_chassis.settings import SettingsError

    if args.service is not None and args.service not in _SERVICES:
        print(f"batuta config show: there is no service {args.service!r}; say {', '.join(_SERVICES)}", file=sys.stderr)
        return 1
    rows: list[config_page.Shown] = []
    try:
        for service in _SERVICES if args.service is None else (args.service,):
            rows += config_page.page(service, shlex.split(args.flags), os.environ, config=args.config)
    except SettingsError as error:
        print(f"batuta config show: {error}", file=sys.stderr)
        return 1
    if args.undocumented:
        bare = config_page.undocumented(rows)
        rows = [row for row in rows if f"{row.service}.{row.name}" in bare]
    if args.set:
        rows = [row for row in rows if row.origin != "default"]
    if args.json:
        print(json.dumps({"settings": [row.as_dict() for row in rows]}, indent=2))
    elif rows:
        print(config_page.as_text(rows))
    return 1 if args.undocumented and rows else 0
