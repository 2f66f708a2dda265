"""The flags that say which tasks, and in what order: the same for every command that takes many."""

from __future__ import annotations

import argparse
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from batuta._cli.arguments import duration
from batuta._cli.failures import USAGE, CliError

if TYPE_CHECKING:
    from batuta_proto.tasks import v1 as tasks
    from batuta_rpc.clock import Clock

STATES = ("draft", "queued", "running", "stopping", "completed", "failed", "aborted", "published")
TYPES = (
    "training testing inference data_processing application monitor controller optimizer service qc custom"
).split()
_CONDITION = re.compile(r"(?P<group>[^/]+)/(?P<name>.*?)(?:(?P<sign><=|>=|=)(?P<value>.*))?", re.DOTALL)
_FIELDS = (
    "create_time update_time start_time end_time display_name project_name state type owner last_iteration queue_name "
    "host duration"
).split()
_SUMMARIES = ("last", "min", "max")
_REPEATED: dict[str, Any] = {"action": "append", "default": [], "metavar": "NAME"}


def add_filter(parser: argparse.ArgumentParser, title: str = "which tasks") -> None:
    """The flags of a filter; all that are given must hold."""
    group = parser.add_argument_group(title)
    group.add_argument("--project", default="", metavar="NAME", help="only of this project (exact name)")
    group.add_argument("--subprojects", action="store_true", help="of the projects below --project as well")
    group.add_argument("--name", default="", help="only tasks of exactly this name")
    group.add_argument("--match", default="", metavar="REGEX", help="only names that this expression finds (RE2)")
    group.add_argument(
        "--state", action="append", default=[], choices=STATES, help="only in this state; may be repeated"
    )
    group.add_argument("--type", action="append", default=[], choices=TYPES, help="only of this type; may be repeated")
    group.add_argument("--tag", **_REPEATED, help="only with this tag; may be repeated")
    group.add_argument("--any-tag", **_REPEATED, help="only with one of these tags; may be repeated")
    group.add_argument("--no-tag", **_REPEATED, help="only without this tag; may be repeated")
    group.add_argument("--owner", **_REPEATED, help="only made by this user; may be repeated")
    group.add_argument("--parent", default="", metavar="ID", help="only clones and children of this task")
    group.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="SECTION/NAME[=|<=|>=VALUE]",
        help="only with such a hyper-parameter: Args/lr, Args/opt=adam, Args/lr<=0.1; may be repeated",
    )
    group.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="[last:|min:|max:]METRIC/VARIANT[<=|>=VALUE]",
        help="only with such a metric: loss/train<=0.3, max:accuracy/test>=0.9; may be repeated",
    )
    group.add_argument("--newer-than", type=duration, metavar="TIME", help="only made within this time: 90m, 12h, 7d")
    group.add_argument("--older-than", type=duration, metavar="TIME", help="only made before that")
    group.add_argument("--archived", action="store_true", help="archived tasks, and no others")
    group.add_argument("--all", action="store_true", help="archived tasks too")
    group.add_argument("--deleted", action="store_true", help="deleted tasks, and no others")


def add_order(parser: argparse.ArgumentParser) -> None:
    """The flag of an order."""
    parser.add_argument(
        "--sort",
        default="",
        metavar="KEY",
        help=f"order by {', '.join(_FIELDS)}, param:SECTION/NAME or metric:[min:|max:]METRIC/VARIANT; greatest first, "
        "with + in front least first (-create_time)",
    )


def add_columns(parser: argparse.ArgumentParser) -> None:
    """The flag of columns."""
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="KEY",
        help="show param:SECTION/NAME or metric:[min:|max:]METRIC/VARIANT as well; may be repeated",
    )


def columns_of(args: argparse.Namespace) -> tasks.ListTasksRequest:
    """The columns that `--column` says, in a request. Raises `CliError`."""
    from batuta_proto.tasks import v1 as tasks

    request = tasks.ListTasksRequest()
    for key in args.column:
        kind, group, name, which = _key(key, "--column")
        if kind == "param":
            request.parameter_columns.add(section=group, name=name)
        else:
            request.metric_columns.add(metric=group, variant=name, summary=f"METRIC_SUMMARY_{which.upper()}")
    return request


def _key(text: str, flag: str) -> tuple[str, str, str, str]:
    """Kind, group, name and which value of `param:…` and `metric:…`."""
    kind, _, rest = text.partition(":")
    which, rest = _summary(rest) if kind == "metric" else ("last", rest)
    group, slash, name = rest.partition("/")
    if kind not in ("param", "metric"):
        raise CliError(f"{flag} names param:GROUP/NAME or metric:GROUP/NAME, not {text!r}.", USAGE)
    if not (group and slash and name):
        raise CliError(f"{flag} names {kind}:GROUP/NAME, such as {kind}:loss/train, not {text!r}.", USAGE)
    return kind, group, name, which


def given(args: argparse.Namespace) -> bool:
    """Whether any flag narrows the tasks down."""
    words = ("project", "name", "match", "state", "type", "tag", "any_tag", "no_tag", "owner", "parent", "param")
    more = ("metric", "newer_than", "older_than", "archived", "deleted")
    return any(getattr(args, each) not in ("", [], None, False) for each in (*words, *more))


def filter_of(args: argparse.Namespace, clock: Clock) -> tasks.ListTasksRequest.Filter:
    """The filter that the flags say. Raises `CliError`."""
    from batuta_proto.tasks import v1 as tasks

    archived = "ONLY" if args.archived else "INCLUDE" if args.all else "UNSPECIFIED"
    wanted = tasks.ListTasksRequest.Filter(
        project_name=args.project,
        include_subprojects=args.subprojects,
        display_name=args.name,
        name_regex=args.match,
        states=[f"TASK_STATE_{name.upper()}" for name in args.state],
        types=[f"TASK_TYPE_{name.upper()}" for name in args.type],
        tags=args.tag,
        any_tags=args.any_tag,
        no_tags=args.no_tag,
        owners=args.owner,
        parent_task_id=args.parent,
        archived=f"ARCHIVED_FILTER_{archived}",
        deleted=args.deleted,
    )
    for text in args.param:
        _parameter(wanted, text)
    for text in args.metric:
        _metric(wanted, text)
    now = clock.unix_millis() / 1000
    if args.newer_than is not None:
        getattr(wanted.create_time, "from").FromDatetime(_moment(now - args.newer_than))
    if args.older_than is not None:
        wanted.create_time.until.FromDatetime(_moment(now - args.older_than))
    return wanted


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None)


def _split(text: str, flag: str) -> tuple[str, str, str, str]:
    found = _CONDITION.fullmatch(text)
    if found is None or not found["name"]:
        raise CliError(f"{flag} is GROUP/NAME with a test behind it, such as Args/lr<=0.1, not {text!r}.", USAGE)
    return found["group"], found["name"], found["sign"] or "", found["value"] or ""


def _number(text: str, flag: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise CliError(f"{flag}: {text!r} is no number.", USAGE) from None


def _parameter(wanted: tasks.ListTasksRequest.Filter, text: str) -> None:
    section, name, sign, value = _split(text, "--param")
    condition = wanted.parameters.add(section=section, name=name)
    if sign == "=":
        condition.equals = value
    elif sign:
        setattr(condition.between, "high" if sign == "<=" else "low", _number(value, "--param"))


def _summary(text: str) -> tuple[str, str]:
    head, colon, rest = text.partition(":")
    return (head, rest) if colon and head in _SUMMARIES else ("last", text)


def _metric(wanted: tasks.ListTasksRequest.Filter, text: str) -> None:
    which, rest = _summary(text)
    metric, variant, sign, value = _split(rest, "--metric")
    if sign == "=":
        raise CliError("--metric is compared by <= or >=; values are seldom equal.", USAGE)
    condition = wanted.metrics.add(metric=metric, variant=variant, summary=f"METRIC_SUMMARY_{which.upper()}")
    if sign:
        setattr(condition.between, "high" if sign == "<=" else "low", _number(value, "--metric"))


def order_of(args: argparse.Namespace) -> tasks.TaskOrder:
    """The order that `--sort` says. Raises `CliError`."""
    from batuta_proto.tasks import v1 as tasks

    key, ascending = args.sort.lstrip("+-"), args.sort.startswith("+")
    if not key:
        return tasks.TaskOrder()
    kind, colon, _ = key.partition(":")
    if colon and kind in ("param", "metric"):
        kind, group, name, which = _key(key, "--sort")
        return tasks.TaskOrder(
            field="TASK_ORDER_FIELD_PARAMETER" if kind == "param" else "TASK_ORDER_FIELD_METRIC",
            group=group,
            name=name,
            summary=f"METRIC_SUMMARY_{which.upper()}",
            ascending=ascending,
        )
    if key not in _FIELDS:
        raise CliError(f"--sort knows {', '.join(_FIELDS)}, param:… and metric:…, not {key!r}.", USAGE)
    return tasks.TaskOrder(field=f"TASK_ORDER_FIELD_{key.upper()}", ascending=ascending)
