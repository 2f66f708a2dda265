"""Between the contract's messages and points of histories. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_queue.history import PER_GPU, UNKNOWN, Point, median
from batuta_queue.model import QueueCounts
from batuta_queue.waits import Tally

_HOST = tuple(field.name for field in agents.HostSample.DESCRIPTOR.fields)
_GPU = ("utilization_percent", "memory_used_bytes", "memory_total_bytes", "power_milliwatts", "temperature_celsius")
assert len(_GPU) == PER_GPU
_SLASH = "/"


def agent_point(sample: agents.TelemetrySample) -> Point:
    """One sample of an agent."""
    host = sample.host if sample.HasField("host") else None
    numbers = [UNKNOWN if host is None else float(getattr(host, name)) for name in _HOST]
    for gpu in sample.gpus:
        numbers += [float(getattr(gpu, name)) if gpu.HasField(name) else UNKNOWN for name in _GPU]
    means = tuple(numbers)
    return Point(1, means, means, tuple(f"{gpu.uuid}{_SLASH}{gpu.mig_uuid}" for gpu in sample.gpus))


def queue_point(counts: QueueCounts | None, begun: Tally | None) -> Point:
    """One look at a queue, and what was begun since the one before; `counts` is None where nobody looked."""
    lengths = (0.0, 0.0, 0.0) if counts is None else (float(counts.waiting), float(counts.running), float(counts.held))
    longest, waits = (0.0, {}) if begun is None else (float(begun.longest), begun.counts)
    return Point(0 if counts is None else 1, lengths, (*lengths, longest), (), waits)


def queue_message(millis: int, point: Point) -> queues.QueuePoint:
    """A point of a queue as people see it."""
    waiting, running, held = point.means
    most_waiting, most_running, most_held, longest = point.peaks
    message = queues.QueuePoint(
        time_unix_millis=millis,
        waiting_mean=waiting,
        waiting_max=round(most_waiting),
        running_mean=running,
        running_max=round(most_running),
        held_mean=held,
        held_max=round(most_held),
        started_count=sum(point.waits.values()),
    )
    if point.waits:
        message.wait_max_millis = round(longest)
        message.wait_p50_millis = min(median(point.waits) or 0, message.wait_max_millis)
    return message


def agent_message(millis: int, point: Point) -> agents.AgentPoint:
    """A point of an agent as people see it."""
    message = agents.AgentPoint(time_unix_millis=millis, sample_count=point.samples)
    size = point.host_count
    if point.means[0] == point.means[0]:  # else no sample had the host
        message.mean.CopyFrom(_host(point.means))
        message.max.CopyFrom(_host(point.peaks))
    for place, name in enumerate(point.names):
        part = slice(size + place * PER_GPU, size + (place + 1) * PER_GPU)
        message.gpus.add(mean=_gpu(name, point.means[part]), max=_gpu(name, point.peaks[part]))
    return message


def _host(numbers: Sequence[float]) -> agents.HostSample:
    host = agents.HostSample()
    for name, number in zip(_HOST, numbers, strict=False):
        setattr(host, name, number if name == "cpu_percent" else round(number))
    return host


def _gpu(name: str, numbers: Sequence[float]) -> agents.GpuSample:
    uuid, _, mig_uuid = name.partition(_SLASH)
    gpu = agents.GpuSample(uuid=uuid, mig_uuid=mig_uuid)
    for field, number in zip(_GPU, numbers, strict=True):
        if number == number:  # not NaN
            setattr(gpu, field, round(number))
    return gpu
