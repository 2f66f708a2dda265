"""Between the agent stream's messages and the model. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from batuta_proto.agents import v1 as agents
from batuta_proto.types import v1 as types
from batuta_queue.book import Lease
from batuta_queue.convert import (
    duration,
    millis_of,
    reason_of,
    resources_message,
    resources_of,
    tail_of,
    timestamp,
)
from batuta_queue.model import Agent, Attempt, AttemptPhase, Cancel, Drain, Entry, Gpu, Payload, Ref, Report
from batuta_queue.numbers import LEASE_TERMS


def agent_of(hello: agents.Hello, now: int) -> Agent:
    """The agent that a Hello describes."""
    return Agent(
        id=hello.agent_id,
        instance_id=hello.instance_id,
        journal_id=hello.journal_id,
        boot_id=hello.boot_id,
        host=hello.host,
        version=hello.version,
        # The same queue named twice is served once, in its first place.
        queue_ids=tuple(dict.fromkeys(hello.queue_ids)),
        max_assignments=hello.max_assignments,
        connect_millis=now,
        heartbeat_millis=now,
        labels=dict(hello.labels),
        capabilities=tuple(hello.capabilities),
        capacity=resources_of(hello.capacity),
        gpus=tuple(_gpu_of(gpu) for gpu in hello.gpus),
    )


def held_of(held: Iterable[agents.HeldAssignment]) -> dict[Ref, AttemptPhase]:
    """What an agent says it holds."""
    return {ref_of(each.ref): AttemptPhase(each.phase) for each in held}


def ref_of(ref: agents.AssignmentRef) -> Ref:
    """Which attempt."""
    return Ref(ref.task_id, ref.attempt)


def ref_message(ref: Ref) -> agents.AssignmentRef:
    """Which attempt."""
    return agents.AssignmentRef(task_id=ref.task_id, attempt=ref.attempt)


def report_of(report: agents.AssignmentReport, now: int) -> Report:
    """What an agent reports; one without a time of its own, or from the future, happened now: the log of events is
    forgotten by their times, and a clock that is years ahead must not keep it for years."""
    return Report(
        number=report.report_number,
        ref=ref_of(report.ref),
        phase=AttemptPhase(report.phase),
        event_millis=min(millis_of(report.event_time), now) if report.HasField("event_time") else now,
        reason=reason_of(report.reason) if report.HasField("reason") else None,
        exit_code=report.exit_code if report.HasField("exit_code") else None,
        signal=report.signal if report.HasField("signal") else None,
        tails=tuple(tail_of(tail) for tail in report.tails),
    )


def assignment_message(
    entry: Entry, attempt: Attempt, payload: Payload, token: str, accept_within: float
) -> agents.Assignment:
    """Work for an agent."""
    terms = LEASE_TERMS[entry.policy]
    message = agents.Assignment(
        ref=ref_message(attempt.ref),
        attempt_token=token,
        accept_within=duration(accept_within),
        lease=agents.LeaseTerms(
            kill_when_lost=terms.kill_when_lost,
            lost_after=duration(terms.lost_after),
            kill_grace=duration(terms.kill_grace),
        ),
        payload=payload.data,
        payload_media_type=payload.media_type,
        queue_id=entry.queue_id,
        traceparent=entry.traceparent,
    )
    if entry.time_limit_millis is not None:
        message.time_limit.CopyFrom(duration(entry.time_limit_millis / 1000))
    return message


def cancel_message(ref: Ref, cancel: Cancel) -> agents.SessionResponse:
    """The wish that an assignment stops."""
    return agents.SessionResponse(
        cancel=agents.Cancel(
            ref=ref_message(ref),
            grace=duration(cancel.grace_millis / 1000),
            reason=cast("agents.CancelReason", int(cancel.reason)),
        )
    )


def drain_message(drain: Drain | None) -> agents.SessionResponse:
    """The wish that an agent takes no new work, or that it does again."""
    if drain is None:
        return agents.SessionResponse(undrain=agents.Undrain())
    deadline = None if drain.deadline_millis is None else timestamp(drain.deadline_millis)
    return agents.SessionResponse(drain=agents.Drain(deadline=deadline, reason=drain.reason))


def agent_message(
    agent: Agent,
    *,
    online: bool,
    draining: bool,
    unhealthy_reason: str,
    heartbeat_millis: int,
    queue_names: Sequence[str],
    leases: Iterable[Lease],
    sample: agents.TelemetrySample | None,
) -> agents.Agent:
    """An agent as operators see it."""
    return agents.Agent(
        id=agent.id,
        labels=agent.labels,
        state=agents.AGENT_STATE_ONLINE if online else agents.AGENT_STATE_OFFLINE,
        queue_ids=agent.queue_ids,
        queue_names=queue_names,
        max_assignments=agent.max_assignments,
        assignments=[_running(lease) for lease in leases if lease.answered],
        capacity=resources_message(agent.capacity),
        gpus=[_gpu_message(gpu) for gpu in agent.gpus],
        telemetry=sample,
        host=agent.host,
        version=agent.version,
        connect_time=timestamp(agent.connect_millis),
        last_heartbeat_time=timestamp(heartbeat_millis),
        drain=None if agent.drain is None else _agent_drain(agent.drain),
        draining=draining,
        unhealthy_reason=unhealthy_reason,
        capabilities=agent.capabilities,
    )


def _agent_drain(drain: Drain) -> agents.AgentDrain:
    deadline = None if drain.deadline_millis is None else timestamp(drain.deadline_millis)
    return agents.AgentDrain(reason=drain.reason, deadline=deadline, request_time=timestamp(drain.request_millis))


def _running(lease: Lease) -> agents.RunningAssignment:
    accepted = None if lease.accept_millis is None else timestamp(lease.accept_millis)
    return agents.RunningAssignment(task_id=lease.ref.task_id, attempt=lease.ref.attempt, accept_time=accepted)


def _gpu_of(gpu: types.Gpu) -> Gpu:
    return Gpu(gpu.uuid, gpu.index, gpu.display_name, gpu.memory_bytes, gpu.driver_version)


def _gpu_message(gpu: Gpu) -> types.Gpu:
    return types.Gpu(
        uuid=gpu.uuid,
        index=gpu.index,
        display_name=gpu.display_name,
        memory_bytes=gpu.memory_bytes,
        driver_version=gpu.driver_version,
    )
