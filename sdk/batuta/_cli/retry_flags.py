"""The flags that say how often a task is tried again, for every command that may set them."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from batuta._cli.arguments import whole_number
from batuta._cli.context import Context

if TYPE_CHECKING:
    from batuta._cli.client import Client
    from batuta_proto.tasks import v1 as tasks

POLICIES = ("strict", "fast", "keep")
_LENGTH = re.compile(r"([0-9]+)(s|m|h|d)?")
_SECONDS = {None: 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 365 * 86400


def add_retry(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    group = parser.add_argument_group("tries (only of a draft)")
    group.add_argument(
        "--lease-policy",
        choices=POLICIES,
        help="when its agent is lost: strict kills it there and moves it after 30 min, fast after 60 s, keep never "
        "(the queue's)",
    )
    group.add_argument(
        "--retries", type=whole_number(0, 100), metavar="N", help="failures of its own that it is tried again after (0)"
    )
    group.add_argument(
        "--max-losses", type=whole_number(0, 100), metavar="N", help="losses of agents that it survives (3)"
    )
    group.add_argument(
        "--time-limit", type=length, metavar="TIME", help="each try is stopped after this: 90s, 30m, 12h, 2d (none)"
    )


def length(text: str) -> int:
    """Seconds, for argparse."""
    found = _LENGTH.fullmatch(text.strip())
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"must be a time such as 90s, 30m, 12h or 2d, a year at most, not {text!r}")
    return seconds


def given(args: argparse.Namespace) -> bool:
    """Whether any of the flags was given."""
    flags = (args.lease_policy, args.retries, args.max_losses, args.time_limit)
    return any(each is not None for each in flags)


def put(client: Client, context: Context, task: tasks.Task, args: argparse.Namespace) -> tasks.Task:
    """The draft with what the flags say; what they do not name stays. Raises `RpcError`."""
    from google.protobuf.field_mask_pb2 import FieldMask

    from batuta_proto.tasks import v1 as tasks
    from batuta_proto.types import v1 as types

    changed = tasks.Task(id=task.id, etag=task.etag)
    retry = changed.spec.retry
    retry.CopyFrom(task.spec.retry)
    if args.lease_policy is not None:
        number: Any = types.LeasePolicy.Value(f"LEASE_POLICY_{args.lease_policy.upper()}")
        retry.lease_policy = number
    if args.retries is not None:
        retry.max_failures = args.retries
    if args.max_losses is not None:
        retry.max_infrastructure_losses = args.max_losses
    if args.time_limit is not None:
        retry.time_limit.seconds = args.time_limit
        retry.time_limit.nanos = 0
    request = tasks.UpdateTaskRequest(
        task=changed, update_mask=FieldMask(paths=["spec.retry"]), request_id=context.ids.request_id()
    )
    return client.tasks.UpdateTask(request).task
