"""Finding artifacts: one, or a page of a task's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from batuta_api import pages
from batuta_api.artifacts import removing, uploading
from batuta_api.artifacts.convert import render
from batuta_api.artifacts.model import Artifact
from batuta_api.artifacts.store import Wanted
from batuta_api.tasks import admission
from batuta_api.violations import violation
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_proto.artifacts import v1 as artifacts
from batuta_rpc.errors import ArtifactNotFound, TaskNotFound

_LIST = "artifacts"
_LARGEST = 100
_PAGE_BYTES = 4 << 20
"""An artifact may come with a third of a MiB of labels and preview; an answer must not be larger than a message."""


@dataclass(frozen=True)
class Query:
    """A page that is asked for. `asked` is what a token of it is sealed with."""

    wanted: Wanted
    after: tuple[str, int] | None
    size: int
    asked: artifacts.ListArtifactsRequest


def find(work: Work, caller: Caller, artifact_id: str) -> Artifact:
    """By id. Raises `ArtifactNotFound`, `OtherTask`, `RoleMissing`."""
    artifact = work.artifacts.get(artifact_id)
    if artifact is None:
        raise _missing(artifact_id)
    try:
        admission.find(work, caller, artifact.task_id)
    except TaskNotFound:  # gone, or in a project that is closed to the caller
        raise _missing(artifact_id) from None
    return artifact


def _missing(artifact_id: str) -> ArtifactNotFound:
    return ArtifactNotFound(
        f"there is no artifact {artifact_id}", resource=("artifact", artifact_id), artifact_id=artifact_id
    )


def one(work: Work, caller: Caller, request: artifacts.GetArtifactRequest) -> Artifact:
    """By id, or by task and name. Raises `FieldViolation`, `ArtifactNotFound`, `TaskNotFound`, `OtherTask`."""
    if request.artifact_id:
        return find(work, caller, request.artifact_id)
    if not request.task_id:
        raise violation("artifact_id", "say an id, or task_id and name")
    if not request.name:
        raise violation("name", "must not be empty without an artifact_id")
    task = admission.find(work, caller, request.task_id)
    found = work.artifacts.named(task.id, uploading.spelled(request.name), request.attempt or None)
    if found is None:
        names = ", ".join(repr(each.name) for each in work.artifacts.page(Wanted(task.id), None, 20))
        raise ArtifactNotFound(
            f"task {task.id} has no artifact {request.name!r}; it has {names or 'none'}",
            resource=("artifact", request.name),
            task_id=task.id,
            name=request.name,
        )
    return found


def query(request: artifacts.ListArtifactsRequest) -> Query:
    """What a request asks for. Raises `FieldViolation`, also for a page token that is not this list's."""
    asked = artifacts.ListArtifactsRequest(task_id=request.task_id, filter=request.filter)
    place = pages.unseal(request.page_token, _LIST, asked, 2)
    chosen = request.filter
    return Query(
        Wanted(request.task_id, chosen.attempt, tuple(chosen.names), tuple(chosen.kinds)),
        None if place is None else (str(place[0]), pages.number(place[1])),
        min(pages.size(request.page_size), _LARGEST),
        asked,
    )


def page(work: Work, caller: Caller, query: Query) -> artifacts.ListArtifactsResponse:
    """The page, and the token of the next one when there is more. Raises `TaskNotFound`, `OtherTask`."""
    admission.find(work, caller, query.wanted.task_id)
    found = work.artifacts.page(query.wanted, query.after, query.size + 1)
    shown: list[artifacts.Artifact] = []
    size = 0
    for each in found[: query.size]:
        shown.append(render(each))
        size += shown[-1].ByteSize()
        if size >= _PAGE_BYTES:
            break
    token = "" if len(shown) == len(found) else pages.seal(_LIST, query.asked, [shown[-1].name, shown[-1].attempt])
    return artifacts.ListArtifactsResponse(artifacts=shown, next_page_token=token)


def delete(work: Work, caller: Caller, artifact_id: str, now: datetime) -> Artifact:
    """Delete an artifact: somebody, or the run that made it while it goes on.

    Raises `ArtifactNotFound`, `OtherTask`, `StaleAttempt`, `IllegalTransition`.
    """
    artifact = find(work, caller, artifact_id)
    if caller.is_attempt:
        admission.find_run(work, caller, artifact.task_id, artifact.attempt, now)
    else:
        uploading.check_unsealed(admission.find(work, caller, artifact.task_id))
    removing.forget(work, artifact, now)
    return artifact
