"""One task as a page for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from batuta._cli import render, tables
from batuta._cli.tasks import state
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types


def page(task: tasks.Task, attempts: Sequence[tasks.Attempt] = ()) -> str:
    """All of it, in blocks with an empty line between them; with the newest attempts, where there were several."""
    blocks = [
        tables.facts([*_identity(task), *_status(task), *_times(task)]),
        _block("Attempts", [_attempt(each) for each in attempts]),
        _block("Retries", _retry(task.spec)),
        _block("Source", _source(task.spec.source)),
        _block("Environment", _environment(task.spec.environment)),
        _block("Resources", _resources(task.spec.resources)),
        _block("Parameters", [(f"{each.section}/{each.name}", each.value) for each in task.spec.parameters]),
    ]
    return "\n\n".join(block for block in blocks if block)


def _block(title: str, pairs: Iterable[tuple[str, object]]) -> str:
    body = tables.facts(list(pairs))
    return f"{title}\n" + "\n".join(f"  {line}" for line in body.splitlines()) if body else ""


def _identity(task: tasks.Task) -> list[tuple[str, object]]:
    return [
        ("id", task.id),
        ("name", task.display_name),
        ("project", task.spec.project_name),
        ("type", render.word(tasks.TaskType, task.spec.type, "TASK_TYPE_").lower()),
        ("tags", ", ".join(task.tags)),
        ("owner", task.owner),
        ("comment", task.spec.comment),
        ("parent", task.spec.parent_task_id),
    ]


def _status(task: tasks.Task) -> Iterator[tuple[str, object]]:
    status = task.status
    yield "state", state(task)
    yield "reason", status.reason
    yield "message", status.message
    if status.attempt:
        phase = render.word(types.AttemptPhase, status.phase, "ATTEMPT_PHASE_")
        yield "attempt", f"{status.attempt}{f' ({phase})' if phase else ''}{' local' if status.local else ''}"
    yield "queue", status.queue_name or status.queue_id
    yield "agent", status.agent_id
    yield "host", status.host
    for name in ("exit_code", "signal", "last_iteration"):
        if status.HasField(name):
            yield name.replace("_", " "), getattr(status, name)


def _attempt(attempt: tasks.Attempt) -> tuple[str, object]:
    """One attempt in a line."""
    phase = render.word(types.AttemptPhase, attempt.phase, "ATTEMPT_PHASE_")
    where = "local" if attempt.local else attempt.agent_id
    why = attempt.message or attempt.reason
    when = render.moment(attempt.end_time) or render.moment(attempt.start_time)
    return str(attempt.attempt), "  ".join(part for part in (phase, where, when, why) if part)


def _retry(spec: tasks.TaskSpec) -> Iterator[tuple[str, object]]:
    retry = spec.retry
    if retry.lease_policy:
        yield "lease policy", render.word(types.LeasePolicy, retry.lease_policy, "LEASE_POLICY_").lower()
    if retry.HasField("max_failures"):
        yield "failures", retry.max_failures
    if retry.HasField("max_infrastructure_losses"):
        yield "losses of agents", retry.max_infrastructure_losses
    if retry.HasField("time_limit"):
        yield "time limit", f"{retry.time_limit.seconds + retry.time_limit.nanos / 1e9:g} s"


def _times(task: tasks.Task) -> list[tuple[str, object]]:
    status = task.status
    return [
        ("created", render.moment(task.create_time)),
        ("queued", render.moment(status.enqueue_time)),
        ("started", render.moment(status.start_time)),
        ("ended", render.moment(status.end_time)),
        ("last sign of life", render.moment(status.last_proof_time)),
        ("archived", render.moment(task.archive_time)),
        ("deleted", render.moment(task.delete_time)),
        ("goes for good", render.moment(task.purge_time)),
    ]


def _source(source: tasks.Source) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = [
        ("repository", source.repository_url),
        ("branch", source.branch),
        ("commit", source.commit),
        ("uncommitted", f"diff of {render.size(len(source.diff.encode()))}" if source.diff else ""),
        ("script", f"stored whole, {render.size(len(source.script.encode()))}" if source.script else ""),
        ("directory", source.working_directory),
        ("entry point", source.entry_point),
    ]
    return pairs


def _environment(environment: tasks.Environment) -> list[tuple[str, object]]:
    container = environment.container
    script = container.setup_script
    return [
        ("python", environment.python_version),
        ("requirements", ", ".join(environment.requirements)),
        ("image", container.image),
        ("container arguments", " ".join(container.arguments)),
        ("set-up script", f"{len(script)} characters" if script else ""),
    ]


def _resources(resources: types.Resources) -> list[tuple[str, object]]:
    return [
        ("cpus", render.number(resources.cpus) if resources.cpus else ""),
        ("memory", render.size(resources.memory_bytes) if resources.memory_bytes else ""),
        ("gpus", resources.gpus or ""),
    ]
