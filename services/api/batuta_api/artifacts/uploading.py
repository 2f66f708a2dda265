"""Uploads as rows: beginning, going on, finishing, giving up. Each function is one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from batuta_api.artifacts import naming
from batuta_api.artifacts.model import Artifact, Content, Plan, Upload, key_of
from batuta_api.artifacts.removing import forget
from batuta_api.tasks import admission
from batuta_api.tasks.model import IllegalMove, Task, TaskState
from batuta_api.tasks.refusals import told
from batuta_api.violations import violation
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_rpc.errors import ArtifactQuota, RequestIdReused, UploadGap
from batuta_rpc.ids import Ids

Destination = Callable[[str], str]
"""Turns the output URI of a project into the store of its artifacts; raises an `RpcError`."""


def begin(
    work: Work, caller: Caller, plan: Plan, destination: Destination, now: datetime, ids: Ids
) -> Artifact | Upload:
    """The upload, new or gone on with; the artifact, when this upload has finished before.

    Raises `OtherTask`, `TaskNotFound`, `StaleAttempt`, `IllegalTransition`, `FieldViolation`, `RequestIdReused`,
    `ArtifactQuota`.
    """
    finished = work.artifacts.get(plan.upload_id)
    if finished is not None:
        caller.require_task(finished.task_id, finished.attempt)
        if (finished.task_id, finished.name) != (plan.task_id, spelled(plan.name)):
            raise _reused(plan.upload_id)
        admission.find(work, caller, finished.task_id)
        return finished
    name = spelled(plan.name)
    task = _admit(work, caller, plan, now)
    known = work.artifacts.upload(plan.upload_id)
    if known is not None:
        if known.mark != plan.mark:
            raise _reused(plan.upload_id)
        work.artifacts.put_upload(replace(known, touch_time=now))
        return known
    attempt = plan.attempt or task.status.attempt
    _check_limits(work, plan, new=work.artifacts.named(task.id, name, attempt) is None)
    project = work.projects.get(task.project_id)
    store = destination("" if project is None else project.default_output_uri)
    upload = Upload(plan.upload_id, task.id, attempt, plan.mark, store, key_of(task.id, attempt, ids.new_id()), now)
    work.artifacts.add_upload(upload)
    return upload


def go_on(work: Work, caller: Caller, plan: Plan, now: datetime) -> None:
    """Note that an upload is alive, and that it may still be. Raises as `begin` does, and `UploadGap`."""
    if work.artifacts.get(plan.upload_id) is not None:
        return  # another process was faster; its end finds that
    _admit(work, caller, plan, now)
    work.artifacts.put_upload(replace(_upload(work, plan), touch_time=now))


def complete(work: Work, caller: Caller, plan: Plan, content: Content, now: datetime) -> Artifact | Upload:
    """Note what the bytes are, before they are put where they will lie: what is there and never becomes an artifact
    is found by this row. The artifact, when another process was faster. Raises as `go_on` does."""
    finished = _finished(work, plan, content)
    if finished is not None:
        return finished
    _admit(work, caller, plan, now)
    upload = _upload(work, plan)
    if upload.sha256 not in ("", content.sha256):
        raise _reused(plan.upload_id)
    after = replace(upload, sha256=content.sha256, touch_time=now)
    work.artifacts.put_upload(after)
    return after


def commit(work: Work, caller: Caller, plan: Plan, content: Content, now: datetime) -> Artifact:
    """Make the artifact of bytes that lie where they will; one of the same name in its attempt goes. Raises as
    `complete` does."""
    finished = _finished(work, plan, content)
    if finished is not None:
        return finished
    task = _admit(work, caller, plan, now)
    upload = _upload(work, plan)
    before = work.artifacts.named(upload.task_id, spelled(plan.name), upload.attempt)
    if before is not None:
        forget(work, before, now)
    artifact = _artifact(plan, upload, content, caller.subject, now, work.limits.artifact_days)
    work.artifacts.remove_upload(upload.id)
    work.artifacts.add(artifact)
    if task.status.attempt_open:
        admission.prove(work, task, now)
    return artifact


def _finished(work: Work, plan: Plan, content: Content) -> Artifact | None:
    finished = work.artifacts.get(plan.upload_id)
    if finished is not None and finished.sha256 != content.sha256:
        raise _reused(plan.upload_id)
    return finished


def spelled(name: str) -> str:
    """The one spelling of a name. Raises `FieldViolation`."""
    try:
        return naming.spelled(name)
    except ValueError as error:
        raise violation("name", str(error)) from None


def _admit(work: Work, caller: Caller, plan: Plan, now: datetime) -> Task:
    """The task, if this upload may be: by its open attempt, or by somebody's hand."""
    if plan.attempt or caller.is_attempt:
        return admission.find_run(work, caller, plan.task_id, plan.attempt, now)
    task = admission.find(work, caller, plan.task_id)
    check_unsealed(task)
    return task


def check_unsealed(task: Task) -> None:
    """Raise `IllegalTransition` when nothing of a task may change any more."""
    if task.delete_time is not None or task.status.state is TaskState.PUBLISHED:
        with told(task):
            raise IllegalMove(task, "CHANGED", "its artifacts stay as they are; undelete it, or use a clone")


def _upload(work: Work, plan: Plan) -> Upload:
    upload = work.artifacts.upload(plan.upload_id)
    if upload is None or upload.mark != plan.mark:
        raise UploadGap(
            f"upload {plan.upload_id} was given up meanwhile; begin it again from 0",
            upload_id=plan.upload_id,
            committed_offset=0,
        )
    return upload


def _check_limits(work: Work, plan: Plan, new: bool) -> None:
    check_size(plan, plan.size_bytes, work.limits.artifact_bytes)
    most = work.limits.artifacts_per_task
    if new and work.artifacts.count(plan.task_id) >= most:
        raise ArtifactQuota(
            f"task {plan.task_id} has {most} artifacts, which is all it may have (the limit artifacts_per_task); "
            "delete some, or put several files into one",
            resource=("task", plan.task_id),
            limit="artifacts_per_task",
        )
    most = work.limits.uploads_per_task
    if len(work.artifacts.uploads(plan.task_id)) >= most:
        raise ArtifactQuota(
            f"task {plan.task_id} has {most} uploads that have not finished, which is all it may have (the limit "
            "uploads_per_task); finish them, or wait until they are given up",
            resource=("task", plan.task_id),
            limit="uploads_per_task",
            retry_delay=60.0,
        )


def check_size(plan: Plan, size: int, most: int) -> None:
    """Raise `ArtifactQuota` when an artifact would be too large."""
    if size > most:
        raise ArtifactQuota(
            f"artifact {plan.name!r} would have {size} bytes or more, and the limit artifact_bytes allows {most}; "
            "split it, or have the operator raise the limit",
            resource=("task", plan.task_id),
            limit="artifact_bytes",
        )


def _reused(upload_id: str) -> RequestIdReused:
    return RequestIdReused(
        f"upload_id {upload_id} was used before for something else; make a new id", upload_id=upload_id
    )


def _artifact(plan: Plan, upload: Upload, content: Content, creator: str, now: datetime, days: int) -> Artifact:
    ttl = plan.ttl or (timedelta(days=days) if days else None)
    return Artifact(
        id=upload.id,
        task_id=upload.task_id,
        attempt=upload.attempt,
        name=spelled(plan.name),
        kind=plan.kind,
        media_type=plan.media_type,
        labels=plan.labels,
        preview=plan.preview,
        size_bytes=content.size_bytes,
        sha256=content.sha256,
        store=upload.store,
        key=upload.key,
        creator=creator,
        create_time=now,
        expire_time=None if ttl is None else now + ttl,
    )
