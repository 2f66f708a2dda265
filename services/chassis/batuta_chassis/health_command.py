"""The command `batuta admin health`: what a container, a balancer or a unit asks a server that it has started."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batuta_rpc.target import API_PORT
from batuta_rpc.trust import PUBLIC, Trust, of_environment, read_authorities

_SENTENCE = "ask a server whether it serves, as containers and balancers do"
_EPILOG = """The exit status is 0 when it serves, 1 when it does not or cannot be reached.

Example:
  batuta admin health
  batuta admin health http://127.0.0.1:8481
  batuta admin health https://127.0.0.1:8480 --certificate-name batuta.example.com"""


def health(subparsers: Any) -> None:
    """Add `batuta admin health`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "health",
        help=_SENTENCE,
        description=f"{_SENTENCE[0].upper()}{_SENTENCE[1:]} (grpc.health.v1). Needs no login.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    here = f"http://127.0.0.1:{API_PORT}"
    parser.add_argument("url", nargs="?", default=here, metavar="URL", help=f"where it listens (default {here})")
    parser.add_argument(
        "--service", default="", metavar="NAME", help="one of its services, such as batuta.tasks.v1.TaskService"
    )
    parser.add_argument(
        "--certificate-name",
        default="",
        metavar="NAME",
        help="the name that its certificate is for, where that is not the host in URL",
    )
    parser.add_argument(
        "--ca-file",
        metavar="FILE",
        help="authority of its certificate (PEM; default: BATUTA_CA_FILE, else public ones)",
    )
    parser.add_argument(
        "--keys-dir",
        metavar="DIR",
        help="the server's folder of keys: believe its authority, and show a certificate of it to a port for agents",
    )
    parser.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS", help="how long to wait (default 5)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask; the exit status is 0 when it serves."""
    try:
        trust = trust_of(args.ca_file, args.keys_dir, os.environ)
        status = ask(args.url, args.service, args.certificate_name, args.timeout, trust)
    except ValueError as error:
        print(f"batuta admin health: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps({"url": args.url, "service": args.service, "status": status}))
    else:
        print(f"{args.url}: {status}")
    return 0 if status == "SERVING" else 1


def trust_of(ca_file: str | None, keys_dir: str | None, env: Mapping[str, str]) -> Trust:
    """Whom to believe, and what to show. Raises `ValueError`."""
    if ca_file:
        return Trust(read_authorities(Path(ca_file), "--ca-file"))
    if not keys_dir:
        return of_environment(env)
    from batuta_chassis.authority import KEY, Authority
    from batuta_chassis.settings import SettingsError
    from batuta_rpc.clock import SystemClock

    if not (Path(keys_dir) / KEY).exists():
        raise ValueError(f"{keys_dir} holds no authority ({KEY}): is it the keys_dir of the server?")
    try:
        authority = Authority.load_or_create(Path(keys_dir), SystemClock())
    except SettingsError as error:
        raise ValueError(str(error)) from error
    pair = authority.service("health")
    return Trust(authority.pem, pair.chain, pair.key)


def ask(url: str, service: str, certificate_name: str, seconds: float, trust: Trust = PUBLIC) -> str:
    """The status of a server, in the words of grpc.health.v1, or UNREACHABLE. Raises `ValueError` for a bad address."""
    # Imported here: the command's help must stay quick.
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    from batuta_rpc import target
    from batuta_rpc.channel import open_raw_sync, options
    from batuta_rpc.errors import from_grpc

    where = target.parse(url)
    # No service config: who asks for the health of a server that is starting asks again, by itself.
    chosen = [each for each in options() if each[0] != "grpc.service_config"]
    if certificate_name:
        chosen.append(("grpc.ssl_target_name_override", certificate_name))
    with open_raw_sync(where, chosen, trust) as channel:
        try:
            stub: Any = health_pb2_grpc.HealthStub(channel)  # its stubs do not know the synchronous one
            answer: Any = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=seconds)
        except grpc.RpcError as error:
            unknown = error.code() is grpc.StatusCode.NOT_FOUND
            if not unknown:
                print(f"batuta admin health: {from_grpc(error, where.shown).message}", file=sys.stderr)
            return "SERVICE_UNKNOWN" if unknown else "UNREACHABLE"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
