"""`batuta queue history`, `batuta agent history`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from batuta._cli.arguments import SubParsers, add_json, command, duration, whole_number
from batuta._cli.context import Context

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration

    from batuta._cli.sparkline import Series
    from batuta_proto.agents import v1 as agents
    from batuta_proto.queues import v1 as queues

_POINTS = 60


def add_queue(parent: SubParsers, context: Context) -> None:
    """Add `batuta queue history`."""
    parser = command(
        parent,
        "history",
        "show how long a queue was, and how long its entries waited",
        "batuta queue history gpu --since 1d",
    )
    parser.add_argument("queue", metavar="NAME", help="name or id of the queue")
    _finish(parser, partial(queue_history, context))


def add_agent(parent: SubParsers, context: Context) -> None:
    """Add `batuta agent history`."""
    parser = command(
        parent,
        "history",
        "show what an agent's processors, memory, disk, network and GPUs did",
        "batuta agent history gpu-7:0 --since 12h",
    )
    parser.add_argument("agent", metavar="NAME", help="name of the agent, as `batuta agent list` shows it")
    _finish(parser, partial(agent_history, context))


def _finish(parser: argparse.ArgumentParser, run: object) -> None:
    parser.add_argument(
        "--since", type=duration, default=3600.0, metavar="TIME", help="so far back (90s, 30m, 2h, 1d); 1h if not given"
    )
    parser.add_argument(
        "--points", type=whole_number(1, 5000), default=_POINTS, metavar="N", help="at most so many points; 60"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def queue_history(context: Context, args: argparse.Namespace) -> None:
    """Print the history of a queue."""
    from batuta._cli import queue_entries
    from batuta_proto.queues import v1 as queues

    with context.connect() as client:
        queue_id = queue_entries.queue(client, args.queue).id
        request = queues.GetQueueHistoryRequest(queue_id=queue_id, max_points=args.points)
        _from(request, context, args)
        answer = client.queues.GetQueueHistory(request)
    _print(context, args, answer, _queue_series(answer.points, answer.resolution))


def agent_history(context: Context, args: argparse.Namespace) -> None:
    """Print the history of an agent."""
    from batuta_proto.agents import v1 as agents

    request = agents.GetAgentHistoryRequest(agent_id=args.agent, max_points=args.points)
    _from(request, context, args)
    with context.connect() as client:
        answer = client.agents.GetAgentHistory(request)
    _print(context, args, answer, _agent_series(answer.points, answer.resolution))


def _from(request: Any, context: Context, args: argparse.Namespace) -> None:
    request.start_time.FromMilliseconds(context.clock.unix_millis() - max(1, round(args.since * 1000)))


def _print(context: Context, args: argparse.Namespace, answer: Any, series: Iterable[Series]) -> None:
    from batuta._cli import render, tables

    if args.json:
        context.print(render.as_json(render.as_dict(answer)))
        return
    if not answer.points:
        context.note("nothing is known of that time; --since goes further back.")
        return
    first, last = answer.points[0].time_unix_millis, answer.points[-1].time_unix_millis
    span = render.span(answer.resolution.ToSeconds())
    context.note(f"{_moment(first)} to {_moment(last)}, {span} a bar.")
    rows = [each.cells for each in series]
    headers = ("METRIC", "LAST", "MEAN", "MAX", "HISTORY")
    context.print(tables.render(headers, rows, width=context.width, whole=("METRIC",), right=headers[1:4]))


def _moment(millis: int) -> str:
    from google.protobuf.timestamp_pb2 import Timestamp

    from batuta._cli import render

    stamp = Timestamp()
    stamp.FromMilliseconds(millis)
    return render.moment(stamp)


def _spread(points: Sequence[Any], resolution: Duration) -> list[Any]:
    """The points with None for each time that has none."""
    step = max(1, resolution.ToMilliseconds())
    found = {(point.time_unix_millis - points[0].time_unix_millis) // step: point for point in points}
    return [found.get(place) for place in range(max(found) + 1)] if found else []


def _queue_series(points: Sequence[queues.QueuePoint], resolution: Duration) -> Iterable[Series]:
    from batuta._cli import render
    from batuta._cli.sparkline import Series

    spread = _spread(points, resolution)
    for name in ("waiting", "running", "held"):
        # Where there is no point, nothing was there.
        means = [0.0 if each is None else getattr(each, f"{name}_mean") for each in spread]
        peaks = [0.0 if each is None else float(getattr(each, f"{name}_max")) for each in spread]
        yield Series(name, means, peaks, render.number)
    begun = [0.0 if each is None else float(each.started_count) for each in spread]
    yield Series("begun", begun, begun, render.number)
    waits = [_optional(each, "wait_p50_millis", 1000) for each in spread]
    longest = [_optional(each, "wait_max_millis", 1000) for each in spread]
    yield Series("wait, p50", waits, waits, render.span)
    yield Series("wait, longest", longest, longest, render.span)


def _agent_series(points: Sequence[agents.AgentPoint], resolution: Duration) -> Iterable[Series]:
    from batuta._cli import render

    spread = _spread(points, resolution)
    hosts = [each if each is not None and each.HasField("mean") else None for each in spread]
    newest = points[-1] if points else None
    memory = float(newest.mean.memory_total_bytes) if newest is not None else 0.0
    yield _of(hosts, "cpu", "cpu_percent", _percent, 100.0)
    yield _of(hosts, "memory", "memory_used_bytes", _bytes, memory or None)
    yield _of(hosts, "disk free", "disk_free_bytes", _bytes)
    yield _of(hosts, "network in", "network_received_bytes_per_second", _rate)
    yield _of(hosts, "network out", "network_sent_bytes_per_second", _rate)
    for place, gpu in enumerate(newest.gpus if newest is not None else ()):
        same = [_gpu(each, gpu.mean.uuid, gpu.mean.mig_uuid) for each in spread]
        yield _of(same, f"gpu {place}", "utilization_percent", _percent, 100.0)
        yield _of(same, f"gpu {place} memory", "memory_used_bytes", _bytes, float(gpu.mean.memory_total_bytes) or None)
        yield _of(same, f"gpu {place} power", "power_milliwatts", lambda value: f"{render.number(value / 1000)} W")
        yield _of(same, f"gpu {place} heat", "temperature_celsius", lambda value: f"{value:.0f} °C")


def _of(spread: Sequence[Any], name: str, field: str, show: Callable[[float], str], top: float | None = None) -> Series:
    from batuta._cli.sparkline import Series

    means = [None if each is None else _optional(each.mean, field) for each in spread]
    peaks = [None if each is None else _optional(each.max, field) for each in spread]
    return Series(name, means, peaks, show, top)


def _gpu(point: Any, uuid: str, mig_uuid: str) -> Any:
    gpus = () if point is None else point.gpus
    return next((each for each in gpus if (each.mean.uuid, each.mean.mig_uuid) == (uuid, mig_uuid)), None)


def _optional(message: Any, field: str, divisor: int = 1) -> float | None:
    """A number of a message; None where the message or the number is absent."""
    if message is None:
        return None
    tells = message.DESCRIPTOR.fields_by_name[field].containing_oneof is not None
    return float(getattr(message, field)) / divisor if not tells or message.HasField(field) else None


def _percent(value: float) -> str:
    return f"{value:.0f} %"


def _bytes(value: float) -> str:
    from batuta._cli import render

    return render.size(round(value))


def _rate(value: float) -> str:
    return f"{_bytes(value)}/s"
