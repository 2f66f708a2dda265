"""The command `batuta up`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batuta_rpc.target import API_PORT, DISPATCH_PORT, HTTP_PORT

if TYPE_CHECKING:
    from batuta_chassis import launcher

_FOLDER = Path.home() / ".batuta" / "server"
_EPILOG = """Example:
  batuta up
  batuta up --data ./server --port 0 --no-agent
  batuta up --config batuta.toml
  batuta up --host 0.0.0.0 --tls
  batuta up --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem"""


def up(subparsers: Any) -> None:
    """Add the command to the `batuta` program."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "up",
        help="serve everything on this machine until Ctrl-C",
        description="Serve everything on this machine until Ctrl-C: API, queue, autoscaler, and an agent.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help=f"data folder (default {_FOLDER})")
    parser.add_argument(
        "--config",
        default="",
        metavar="FILE",
        help="TOML file of settings, see `batuta config show`; flags win over it",
    )
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, metavar="N", help=f"port of the API (default {API_PORT}; 0: a free one)")
    parser.add_argument(
        "--queue-port",
        type=int,
        metavar="N",
        help=f"port for agents (default {DISPATCH_PORT}; 0: a free one)",
    )
    _of_http(parser)
    parser.add_argument(
        "--database-url",
        metavar="URL",
        help="PostgreSQL for all services, each in its own schema: postgresql://USER:PASSWORD@HOST/DATABASE "
        "(default: SQLite files in the data folder)",
    )
    parser.add_argument("--advertise", default="", metavar="NAME", help="name by which agents reach this machine")
    _of_encryption(parser)
    _of_the_agent(parser)
    parser.add_argument(
        "--log-level",
        default="WARNING",
        choices=("DEBUG", "INFO", "WARNING", "ERROR"),
        help="what is logged on standard error (default WARNING)",
    )
    parser.set_defaults(run=serve)


def _of_http(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--http-port",
        type=int,
        metavar="N",
        help=f"port of the API for browsers and curl (default {HTTP_PORT}, with another --port a free one; -1: none)",
    )
    parser.add_argument(
        "--http-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let pages of this origin call the HTTP port, as https://page.example; may be repeated (default: none)",
    )
    parser.add_argument(
        "--http-name",
        action="append",
        default=[],
        metavar="NAME",
        help="answer on loopback to this host name too, for a proxy on this machine; may be repeated",
    )


def _of_encryption(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tls",
        nargs="?",
        const="generated",
        metavar="MODE",
        help="speak TLS: generated (the default here) makes an authority and certificates, own takes --tls-cert",
    )
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate chain (PEM)")
    parser.add_argument("--tls-key", metavar="FILE", help="its key (PEM)")
    parser.add_argument(
        "--allow-plaintext",
        action="store_const",
        const=True,
        help="listen beyond this machine without TLS, on a trusted network",
    )
    parser.add_argument(
        "--agent-certificates",
        action="store_const",
        const=True,
        help="let agents in with a certificate of their own only, which they get when they join",
    )


def _of_the_agent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-agent", action="store_true", help="start no agent on this machine")
    parser.add_argument(
        "--agent-slots", type=int, default=1, metavar="N", help="tasks at once on this machine (default 1)"
    )
    parser.add_argument(
        "--queue", action="append", metavar="NAME", help="queue of the agent, made if missing (default: default)"
    )


def serve(args: argparse.Namespace) -> int:
    """Serve until stopped; the exit status is 1 when something stands in the way."""
    # The server's libraries are imported here: the command's help must stay quick.
    from batuta_chassis import launcher
    from batuta_chassis.logs import configure
    from batuta_chassis.settings import SettingsError
    from batuta_rpc.clock import SystemClock
    from batuta_rpc.ids import SystemIds

    configure(args.log_level, access=args.log_level in ("DEBUG", "INFO"))
    try:
        if args.agent_slots < 1:
            raise SettingsError(
                f"--agent-slots is 1 or more, not {args.agent_slots}. Without an agent here: --no-agent"
            )
        options = options_of(args)
        asyncio.run(launcher.run(options, SystemClock(), SystemIds(), say))
    except SettingsError as error:
        print(f"batuta up: {error}", file=sys.stderr)
        return 1
    return 0


_SHARED = {
    "data_dir": Path(),
    "host": "127.0.0.1",
    "database_url": "",
    "tls": "",
    "tls_cert": "",
    "tls_key": "",
    "agent_certificates": False,
    "allow_plaintext": False,
}
"""What all services of `batuta up` have in common, with its defaults."""


def options_of(args: argparse.Namespace) -> launcher.Options:
    """What was asked for: by flags, else by environment or file as for services that run alone. Raises
    `SettingsError`."""
    from batuta_chassis import launcher

    plain = launcher.Options(Path(), config=args.config)
    told = {name: launcher.told_of(name, plain) for name in ("api", "queue")}
    flags = {**vars(args), "data_dir": args.data}
    common = {key: _common(key, flags[key], told) for key in _SHARED}
    data: Path = common.pop("data_dir")
    api = told["api"]
    port = api.get("port", API_PORT) if args.port is None else args.port
    http_port = api.get("http_port", HTTP_PORT if port == API_PORT else 0) if args.http_port is None else args.http_port
    return replace(
        plain,
        data=(_FOLDER if data == Path() else data).expanduser().absolute(),
        port=port,
        http_port=http_port,
        http_origins=tuple(args.http_origin or api.get("http_origins", "").split(",")),
        http_names=tuple(args.http_name or api.get("http_names", "").split(",")),
        queue_port=told["queue"].get("port", DISPATCH_PORT) if args.queue_port is None else args.queue_port,
        advertise=args.advertise,
        agent=not args.no_agent,
        agent_slots=args.agent_slots,
        queues=tuple(args.queue or ("default",)),
        **common,
    )


def _common(key: str, flag: Any, told: Mapping[str, Mapping[str, Any]]) -> Any:
    from batuta_chassis.settings import SettingsError

    if flag is not None:
        return flag
    values = [one.get(key, _SHARED[key]) for one in told.values()]
    if values[0] != values[1]:
        raise SettingsError(f"`batuta up` has one {key} for all its services: say it once, in the table [all]")
    return values[0]


def say(line: str) -> None:
    """Print a line for people, at once."""
    print(line, flush=True)
