"""Tasks between contract and model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast

from batuta_api.moments import stamp
from batuta_api.tasks.model import (
    Container,
    Definition,
    Environment,
    Parameter,
    Resources,
    Retry,
    Source,
    Tail,
    TailKind,
    Task,
    TaskStatus,
)
from batuta_api.violations import violation
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types

_SOURCE = tuple(Source.__dataclass_fields__)
_PATHS: tuple[str, ...] = (
    "display_name",
    "tags",
    "spec.type",
    "spec.comment",
    "spec.source",
    "spec.environment",
    "spec.parameters",
    "spec.resources",
    "spec.retry",
)


@dataclass(frozen=True)
class Edit:
    """New values for some parts of a task: fields of `Task`, and of `Definition`."""

    fields: dict[str, Any]
    definition: dict[str, Any]

    def on(self, known: Definition) -> Definition:
        """The definition with these parts changed."""
        return replace(known, **self.definition)


def render(task: Task, definition: Definition | None = None) -> tasks.Task:
    """As the contract shows it; without a definition, source and parameters are left out."""
    return tasks.Task(
        id=task.id,
        etag=task.etag,
        display_name=task.display_name,
        tags=task.tags,
        spec=_spec(task, definition),
        status=_status(task.status),
        create_time=stamp(task.create_time),
        update_time=stamp(task.update_time),
        owner=task.owner,
        archive_time=stamp(task.archive_time),
        delete_time=stamp(task.delete_time),
        purge_time=stamp(task.purge_time),
    )


def _spec(task: Task, definition: Definition | None) -> tasks.TaskSpec:
    spec = tasks.TaskSpec(
        project_id=task.project_id,
        project_name=task.project_name,
        type=cast("Any", task.type),
        comment=task.comment,
        parent_task_id=task.parent_task_id,
        environment=tasks.Environment(
            python_version=task.environment.python_version, requirements=task.environment.requirements
        ),
        resources=resources(task.resources),
    )
    container = task.environment.container
    if container != Container():
        spec.environment.container.CopyFrom(
            tasks.Container(image=container.image, arguments=container.arguments, setup_script=container.setup_script)
        )
    if task.retry != Retry():
        spec.retry.CopyFrom(retry(task.retry))
    if definition is not None:
        spec.source.CopyFrom(tasks.Source(**{name: getattr(definition.source, name) for name in _SOURCE}))
        for each in definition.parameters:
            spec.parameters.add(
                section=each.section,
                name=each.name,
                value=each.value,
                type=cast("Any", each.type),
                description=each.description,
            )
    return spec


def resources(asked: Resources) -> types.Resources:
    """What is asked of a machine, as the contract writes it."""
    return types.Resources(cpus=asked.cpus, memory_bytes=asked.memory_bytes, gpus=asked.gpus)


def retry(asked: Retry) -> types.RetryPolicy:
    """How often it is tried again, as the contract writes it."""
    policy = types.RetryPolicy(
        lease_policy=cast("Any", asked.lease_policy),
        max_infrastructure_losses=asked.max_losses,
        max_failures=asked.max_failures,
    )
    if asked.time_limit is not None:
        policy.time_limit.FromTimedelta(asked.time_limit)
    return policy


def _retry(given: types.RetryPolicy) -> Retry:
    limit = given.time_limit
    millis = limit.seconds * 1000 + -(-limit.nanos // 1_000_000)  # rounded up: a limit is never none at all
    return Retry(
        int(given.lease_policy),
        given.max_infrastructure_losses if given.HasField("max_infrastructure_losses") else None,
        given.max_failures if given.HasField("max_failures") else None,
        timedelta(milliseconds=millis) if given.HasField("time_limit") else None,
    )


def _status(status: TaskStatus) -> tasks.TaskStatus:
    return tasks.TaskStatus(
        state=cast("Any", int(status.state)),
        reason=status.reason,
        message=status.message,
        attempt=status.attempt,
        attempt_open=status.attempt_open,
        phase=cast("Any", int(status.phase)),
        local=status.local,
        queue_id=status.queue_id,
        queue_name=status.queue_name,
        agent_id=status.agent_id,
        host=status.host,
        exit_code=status.exit_code,
        signal=status.signal,
        last_iteration=status.last_iteration,
        enqueue_time=stamp(status.enqueue_time),
        start_time=stamp(status.start_time),
        end_time=stamp(status.end_time),
        last_proof_time=stamp(status.last_proof_time),
    )


def new_parts(request: tasks.CreateTaskRequest) -> Edit:
    """All that a new draft sets. Raises `FieldViolation`."""
    spec = request.spec
    if spec.project_id or spec.project_name:
        raise violation("spec.project_id", "project_id and project_name of the spec must be empty: set project_name")
    whole = tasks.Task(display_name=request.display_name, tags=request.tags, spec=spec)
    edit = edited(whole, _PATHS)
    return Edit({**edit.fields, "parent_task_id": spec.parent_task_id}, edit.definition)


def edited(task: tasks.Task, paths: Iterable[str]) -> Edit:
    """The parts of `task` that a mask names. Raises `FieldViolation` for a path that is unknown or not the user's."""
    edit = Edit({}, {})
    for path in _named(list(paths)):
        _take(edit, task, path)
    return edit


def _named(paths: Sequence[str]) -> Sequence[str]:
    if not paths:
        raise violation("update_mask", "names nothing; give the paths to change, or `*` for all of them")
    if list(paths) == ["*"]:
        return _PATHS
    for path in paths:
        if path not in _PATHS:
            raise violation("update_mask", f"{path!r} cannot be set; the paths are: {', '.join(_PATHS)}")
    return paths


def _take(edit: Edit, task: tasks.Task, path: str) -> None:
    spec = task.spec
    if path == "display_name":
        edit.fields["display_name"] = _display_name(task.display_name)
    elif path == "tags":
        edit.fields["tags"] = _tags(task.tags)
    elif path == "spec.type":
        edit.fields["type"] = int(spec.type) or 1
    elif path == "spec.comment":
        edit.fields["comment"] = spec.comment
    elif path == "spec.environment":
        given = spec.environment
        container = given.container
        edit.fields["environment"] = Environment(
            given.python_version,
            tuple(given.requirements),
            Container(container.image, tuple(container.arguments), container.setup_script),
        )
    elif path == "spec.resources":
        edit.fields["resources"] = Resources(spec.resources.cpus, spec.resources.memory_bytes, spec.resources.gpus)
    elif path == "spec.retry":
        edit.fields["retry"] = _retry(spec.retry)
    elif path == "spec.source":
        edit.definition["source"] = Source(**{name: getattr(spec.source, name) for name in _SOURCE})
    else:
        edit.definition["parameters"] = _parameters(spec.parameters)


def _display_name(name: str) -> str:
    if not 1 <= len(name) <= 1024:
        raise violation("task.display_name", "is 1 to 1024 characters long")
    return name


def _tags(tags: Iterable[str]) -> tuple[str, ...]:
    unique = tuple(dict.fromkeys(tags))
    if len(unique) > 200 or not all(1 <= len(tag) <= 256 for tag in unique):
        raise violation("task.tags", "are at most 200, of 1 to 256 characters each")
    return unique


def _parameters(given: Iterable[types.Parameter]) -> tuple[Parameter, ...]:
    parameters = tuple(Parameter(p.section, p.name, p.value, int(p.type), p.description) for p in given)
    seen: set[tuple[str, str]] = set()
    for parameter in parameters:
        key = (parameter.section, parameter.name)
        if key in seen:
            raise violation("spec.parameters", f"{parameter.section}/{parameter.name} is given twice")
        seen.add(key)
    return parameters


def tails(given: Iterable[types.ProducerTail]) -> tuple[Tail, ...]:
    """The ends that producers declared. Kinds that this release does not know are passed over."""
    known = {int(kind) for kind in TailKind}
    return tuple(Tail(tail.producer, TailKind(tail.kind), tail.end) for tail in given if int(tail.kind) in known)
