"""`batuta agent start`: its arguments, and the wiring of an agent process."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from batuta_rpc.config import ConfigError, Connection, load_connection, read_connection
from batuta_rpc.trust import CA_VARIABLE, fold

_EPILOG = """The credential comes from --credentials, from what an earlier start has kept in the state
folder, from --join-token (`batuta agent join-token` makes one), from the environment
(BATUTA_API, BATUTA_ACCESS_KEY, BATUTA_SECRET_KEY) or from ~/.batuta/batuta.conf. With an
admin's credential the agent gets one of its own. Ctrl-C leaves running tasks alone: the
next start finds them again.

Example:
  batuta agent start --queue default
  batuta agent start --queue gpu --queue default --slots 2"""

_MOST_WARM = 64
"""Each takes up to 64 MiB."""


def start(subparsers: Any) -> None:
    """Add `start` to the subcommands of `batuta agent`."""
    add_arguments(
        cast(
            "argparse.ArgumentParser",
            subparsers.add_parser(
                "start",
                help="run tasks from queues on this machine",
                description="Run tasks from queues on this machine until Ctrl-C.",
                epilog=_EPILOG,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            ),
        )
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of `start`, and the function that runs it as `run`."""
    add = parser.add_argument
    add("--queue", action="append", required=True, metavar="NAME", help="queue to serve; repeat for more, first first")
    add("--create-queue", action="store_true", help="make queues that do not exist")
    add(
        "--name",
        metavar="NAME",
        help="this agent's name (default: <host>:<slot>, with --data <host>:<name of the folder>)",
    )
    add("--slots", type=_positive, default=1, metavar="N", help="tasks at once (default: 1)")
    add("--api", metavar="URL", help="the server's address")
    add("--join-token", metavar="TOKEN", help="join with a single-use token; better: BATUTA_JOIN_TOKEN")
    add("--credentials", type=Path, metavar="FILE", help="file with the server's address and a credential")
    add(
        "--ca-file",
        type=Path,
        metavar="FILE",
        help="authority that signed the server's certificate (or BATUTA_CA_FILE)",
    )
    add(
        "--ca-fingerprint", metavar="SHA256", help="fetch that authority, with a join token, if this is its fingerprint"
    )
    add("--certificate", type=Path, metavar="FILE", help="certificate to show the broker, of an authority of your own")
    add("--certificate-key", type=Path, metavar="FILE", help="its key; both are read again at each connection")
    add("--data", type=Path, metavar="DIR", help="folder of this agent's state (default: ~/.batuta/agents/<name>)")
    add("--cache", type=Path, metavar="DIR", help="folder of environments and repositories (default: ~/.batuta/cache)")
    add("--python", action="append", default=[], metavar="PATH", help="an interpreter for tasks; repeat for more")
    add(
        "--warm-interpreters",
        type=_few,
        default=0,
        metavar="N",
        help="keep an interpreter started in each of the N environments used last; tasks begin sooner (default: 0)",
    )
    add("--label", action="append", default=[], type=_label, metavar="KEY=VALUE", help="label of this agent")
    add("--allow-local-git", action="store_true", help="take repositories by path too")
    add("--stop-tasks-on-exit", action="store_true", help="stop running tasks when the agent is stopped")
    add("--trace-endpoint", default="", metavar="URL", help="collector of traces (OTLP over HTTP; extra otel)")
    add("--json-logs", action="store_true", help="one JSON object per line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run an agent until it is stopped. Returns the exit code."""
    from batuta_agent.folders import StateInUse
    from batuta_rpc.errors import RpcError

    if sys.version_info < (3, 10):  # noqa: UP036 - whoever installed without the extra comes here too
        print("batuta agent: needs Python 3.10 or newer", file=sys.stderr)
        return 1
    os.umask(0o077)
    if (arguments.certificate is None) != (arguments.certificate_key is None):
        print("batuta agent: --certificate and --certificate-key belong together", file=sys.stderr)
        return 1
    try:
        return asyncio.run(_main(arguments, os.environ))
    except (ConfigError, StateInUse, RpcError, ValueError) as error:
        print(f"batuta agent: {error}", file=sys.stderr)
    except sqlite3.DatabaseError as error:
        print(f"batuta agent: the journal cannot be used: {error}", file=sys.stderr)
    except KeyboardInterrupt:  # before the agent listens to signals itself
        return 130
    return 1


class _Home(NamedTuple):
    name: str
    state: Any
    connection: Connection
    kept: bool
    """Whether the connection is the one in the state folder."""


async def _main(arguments: argparse.Namespace, env: Mapping[str, str]) -> int:
    from batuta_agent.agent import on_signals
    from batuta_agent.wiring import build
    from batuta_rpc.errors import CredentialInvalid

    home = await _home(arguments, env)
    try:
        async with build(arguments, home.name, home.state, home.connection, env) as agent:
            on_signals(asyncio.get_running_loop(), agent.stop, (signal.SIGINT, signal.SIGTERM))
            return await agent.run(stop_tasks=arguments.stop_tasks_on_exit)
    except CredentialInvalid as error:
        if not home.kept:
            raise
        raise ConfigError(
            f"{home.connection.api} refuses the credential in {home.state.credentials}: delete that file, and the "
            "agent joins anew"
        ) from error
    finally:
        home.state.close()


def _state(arguments: argparse.Namespace) -> tuple[str, Any]:
    """This agent's name and its folder, locked. Raises `StateInUse`."""
    from batuta_agent.folders import StateFolder, folder_name, free_slot
    from batuta_agent.host import host_name

    agents = Path("~/.batuta/agents").expanduser()
    if not arguments.name and not arguments.data:
        return free_slot(agents, host_name())
    # Slots are counted by the folders under `agents`; one who has a folder of his own must not take a slot's name.
    name = arguments.name or f"{host_name()}:{arguments.data.absolute().name}"
    return name, StateFolder(arguments.data or agents / folder_name(name))


async def _home(arguments: argparse.Namespace, env: Mapping[str, str]) -> _Home:
    """Lock the state folder, and find the credential. Raises `ConfigError`, `StateInUse`, `RpcError`."""
    from batuta_agent.joining import kept_connection, reach
    from batuta_agent.printer import printer
    from batuta_rpc.clock import SystemClock
    from batuta_rpc.ids import SystemIds

    name, state = _state(arguments)
    clock = SystemClock()
    try:
        connection = await reach(
            lambda: _connection(arguments, env, name, state.credentials),
            printer(clock, json_lines=arguments.json_logs),
            clock,
            SystemIds(),
            patient=state.known,
        )
        before = kept_connection(state.credentials)
        kept = before is not None and before.access_key == connection.access_key
        return _Home(name, state, connection, kept)
    except BaseException:
        state.close()
        raise


async def _connection(arguments: argparse.Namespace, env: Mapping[str, str], name: str, kept: Path) -> Connection:
    from batuta_agent.joining import join_as, kept_connection, redeem
    from batuta_rpc.clock import SystemClock

    login = None
    if arguments.credentials is not None:
        login = read_connection(arguments.credentials)
    elif before := kept_connection(kept):  # a join token is spent once; what it brought stays
        return _adjusted(before, arguments, env)
    elif token := arguments.join_token or env.get("BATUTA_JOIN_TOKEN", ""):
        api = arguments.api or env.get("BATUTA_API", "")
        if not api:
            raise ConfigError("a join token needs the server's address: give --api http://host:8480")
        return await redeem(_pinned(Connection(api, "", ""), arguments, env), token, name, kept)
    else:
        login = load_connection(env)
    if login is None:
        raise ConfigError(
            "no server is configured: run `batuta init`, or give --credentials FILE, "
            "or --api URL and --join-token TOKEN"
        )
    return await join_as(_adjusted(login, arguments, env), name, kept, SystemClock())


def _adjusted(connection: Connection, arguments: argparse.Namespace, env: Mapping[str, str]) -> Connection:
    """The connection with what the command line and the environment say of the server."""
    api = arguments.api or connection.api
    named = arguments.ca_file or env.get(CA_VARIABLE)
    if named:
        return connection._replace(api=api, ca="", ca_file=str(Path(named).expanduser().absolute()))
    return connection._replace(api=api)


def _pinned(connection: Connection, arguments: argparse.Namespace, env: Mapping[str, str]) -> Connection:
    """The same for a server that nothing is known of yet but the fingerprint of its authority, perhaps."""
    if not arguments.ca_fingerprint:
        return _adjusted(connection, arguments, env)
    from batuta_rpc.pinning import authority_of

    return connection._replace(ca=fold(authority_of(connection.api, arguments.ca_fingerprint)))


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, not {text!r}")
    return int(text)


def _few(text: str) -> int:
    if not text.isdecimal() or int(text) > _MOST_WARM:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {_MOST_WARM}, not {text!r}")
    return int(text)


def _label(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise argparse.ArgumentTypeError("write KEY=VALUE")
    return key, value
