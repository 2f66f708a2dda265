"""The command `batuta admin health`: what a container, a balancer or a unit asks a server that it has started."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from batuta_rpc.target import API_PORT

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
    parser.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS", help="how long to wait (default 5)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask; the exit status is 0 when it serves."""
    try:
        status = ask(args.url, args.service, args.certificate_name, args.timeout)
    except ValueError as error:
        print(f"batuta admin health: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps({"url": args.url, "service": args.service, "status": status}))
    else:
        print(f"{args.url}: {status}")
    return 0 if status == "SERVING" else 1


def ask(url: str, service: str, certificate_name: str, seconds: float) -> str:
    """The status of a server, in the words of grpc.health.v1, or UNREACHABLE. Raises `ValueError` for a bad address."""
    # Imported here: the command's help must stay quick.
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    from batuta_rpc import target
    from batuta_rpc.channel import options

    where = target.parse(url)
    # No service config: who asks for the health of a server that is starting asks again, by itself.
    chosen = [each for each in options() if each[0] != "grpc.service_config"]
    if certificate_name:
        chosen.append(("grpc.ssl_target_name_override", certificate_name))
    channel = (
        grpc.secure_channel(where.address, grpc.ssl_channel_credentials(), options=chosen)
        if where.tls
        else grpc.insecure_channel(where.address, options=chosen)
    )
    with channel:
        try:
            stub: Any = health_pb2_grpc.HealthStub(channel)  # its stubs do not know the synchronous one
            answer: Any = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=seconds)
        except grpc.RpcError as error:
            unknown = error.code() is grpc.StatusCode.NOT_FOUND
            return "SERVICE_UNKNOWN" if unknown else "UNREACHABLE"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
