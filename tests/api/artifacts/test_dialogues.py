"""Artifacts over a real server: uploads that are whole or not there, and reading them again."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from batuta_api.__main__ import build
from batuta_chassis.testing import running
from batuta_proto.artifacts import v1 as artifacts
from batuta_proto.audit import v1 as audit
from batuta_proto.projects import v1 as projects
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.errors import (
    ArtifactNotFound,
    ArtifactQuota,
    ContentMismatch,
    FieldViolation,
    IllegalTransition,
    OtherTask,
    ProtocolViolation,
    RequestIdReused,
    RoleMissing,
    StaleAttempt,
    UploadGap,
)
from batuta_rpc.ids import SystemIds

MIB = 1 << 20


def begun(**fields: Any) -> artifacts.UploadArtifactRequest:
    fields.setdefault("name", "model")
    return artifacts.UploadArtifactRequest(begin=artifacts.UploadBegin(**fields))


def chunk(offset: int, data: bytes) -> artifacts.UploadArtifactRequest:
    return artifacts.UploadArtifactRequest(chunk=artifacts.UploadChunk(offset=offset, data=data))


def finish(data: bytes) -> artifacts.UploadArtifactRequest:
    digest = hashlib.sha256(data).hexdigest()
    return artifacts.UploadArtifactRequest(finish=artifacts.UploadFinish(size_bytes=len(data), sha256=digest))


def kept(folder: Path) -> list[Path]:
    """Every file below the folder of artifacts."""
    return sorted(path for path in (folder / "artifacts").rglob("*") if path.is_file())


async def listed(stubs: Any, task_id: str, **asked: Any) -> list[artifacts.Artifact]:
    request = artifacts.ListArtifactsRequest(task_id=task_id, **asked)
    return list((await stubs.artifacts.ListArtifacts(request)).artifacts)


async def test_what_was_uploaded_comes_back_with_its_size_and_digest(member: Any, api: Any) -> None:
    task = await member.draft()
    data = os.urandom(3 * MIB + 17)
    upload_id = SystemIds().new_id()
    begin = begun(
        upload_id=upload_id,
        task_id=task.id,
        name="weights of ünit 1",
        kind=artifacts.ARTIFACT_KIND_BYTES,
        media_type="application/octet-stream",
        labels={"epoch": "3"},
        preview="3 MiB of noise",
    )
    pieces = [chunk(at, data[at : at + MIB]) for at in range(0, len(data), MIB)]
    made = (await member.talk(begin, *pieces, finish(data)))[-1].artifact
    assert (made.id, made.task_id, made.attempt, made.name) == (upload_id, task.id, 0, "weights of ünit 1")
    assert (made.size_bytes, made.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (made.kind, dict(made.labels), made.preview) == (
        artifacts.ARTIFACT_KIND_BYTES,
        {"epoch": "3"},
        "3 MiB of noise",
    )
    assert (made.creator, made.uri, made.HasField("expire_time")) == ("ada", "", False)
    assert await member.download(made.id) == data
    by_name = artifacts.GetArtifactRequest(task_id=task.id, name="weights of ünit 1")
    assert (await member.artifacts.GetArtifact(by_name)).artifact == made
    assert await listed(member, task.id) == [made]
    [file] = kept(api.data)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


async def test_an_empty_artifact_is_one_too(member: Any) -> None:
    made = await member.upload(b"", task_id=(await member.draft()).id)
    assert (made.size_bytes, await member.download(made.id)) == (0, b"")


async def test_any_part_of_an_artifact_can_be_read(member: Any) -> None:
    data = os.urandom(MIB + 5)
    made = await member.upload(data[:MIB], task_id=(await member.draft()).id)
    data = data[:MIB]
    for offset, length in ((0, 1), (7, 600_000), (MIB - 3, 100), (MIB, 0), (5, 0)):
        end = offset + length if length else len(data)
        assert await member.download(made.id, offset=offset, length=length) == data[offset:end]
    with pytest.raises(FieldViolation, match="beyond the end"):
        await member.download(made.id, offset=MIB + 1)


async def test_an_upload_that_was_cut_off_goes_on_where_the_server_stands(member: Any, api: Any) -> None:
    task, data, upload_id = await member.draft(), os.urandom(6 * MIB), SystemIds().new_id()
    begin = begun(upload_id=upload_id, task_id=task.id)
    told: asyncio.Queue[int] = asyncio.Queue()

    async def first() -> None:
        async def half() -> AsyncIterator[Any]:
            yield begin
            for at in range(0, 5 * MIB, MIB):
                yield chunk(at, data[at : at + MIB])
            await asyncio.Event().wait()

        async for answer in member.artifacts.UploadArtifact(half()):
            told.put_nowait(answer.committed_offset)

    cut = asyncio.create_task(first())
    assert await api.soon(told.get()) == 0
    assert await api.soon(told.get()) == 4 * MIB
    cut.cancel()
    await asyncio.gather(cut, return_exceptions=True)
    assert await listed(member, task.id) == []
    call = member.artifacts.UploadArtifact()
    await call.write(begin)
    stands = (await api.soon(call.read())).committed_offset
    assert 4 * MIB <= stands <= 5 * MIB
    pieces = [chunk(at, data[at : at + MIB]) for at in range(stands - 10, len(data), MIB)]  # the first is there in part
    answers = await api.rest_of(call, *pieces, finish(data))
    assert await member.download(answers[-1].artifact.id) == data


async def test_an_upload_goes_on_after_the_server_was_started_again(
    queue: Any, tmp_path: Path, make_stubs: Any
) -> None:
    data, upload_id = os.urandom(2 * MIB), SystemIds().new_id()
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint) as process:
        member = make_stubs(process)
        begin = begun(upload_id=upload_id, task_id=(await member.draft()).id)
        with pytest.raises(ProtocolViolation, match="without `finish`"):
            await member.talk(begin, chunk(0, data[:MIB]))
    async with running(build, tmp_path, service="api", queue_endpoint=queue.endpoint) as process:
        member = make_stubs(process)
        answers = await member.talk(begin, chunk(MIB, data[MIB:]), finish(data))
        assert answers[0].committed_offset == MIB
        assert await member.download(answers[-1].artifact.id) == data


async def test_a_finished_upload_that_is_sent_again_is_answered_and_not_done_again(member: Any, api: Any) -> None:
    task, upload_id = await member.draft(), SystemIds().new_id()
    begin = begun(upload_id=upload_id, task_id=task.id)
    [_, first] = await member.talk(begin, chunk(0, b"weights"), finish(b"weights"))
    [again] = await member.talk(begin, chunk(0, b"weights"), finish(b"weights"))
    assert (again.artifact, again.committed_offset) == (first.artifact, 7)
    assert len(kept(api.data)) == 1
    with pytest.raises(RequestIdReused):
        await member.talk(begun(upload_id=upload_id, task_id=task.id, name="other"), finish(b""))


async def test_a_begun_upload_id_is_not_taken_for_something_else(member: Any) -> None:
    task, upload_id = await member.draft(), SystemIds().new_id()
    with pytest.raises(ProtocolViolation):
        await member.talk(begun(upload_id=upload_id, task_id=task.id), chunk(0, b"a"))
    with pytest.raises(RequestIdReused):
        await member.talk(begun(upload_id=upload_id, task_id=task.id, preview="x"), finish(b""))


async def test_of_two_uploads_of_one_name_the_one_that_finishes_last_stays(member: Any, api: Any) -> None:
    task = await member.draft()
    ids = [SystemIds().new_id() for _ in range(2)]
    calls = [member.artifacts.UploadArtifact() for _ in ids]
    for call, upload_id in zip(calls, ids, strict=True):
        await call.write(begun(upload_id=upload_id, task_id=task.id))
        assert (await api.soon(call.read())).committed_offset == 0
    for number in (1, 0):
        data = b"of %d" % number
        answers = await api.rest_of(calls[number], chunk(0, data), finish(data))
        assert answers[-1].artifact.id == ids[number]
    [found] = await listed(member, task.id)
    assert found.id == ids[0]
    assert await member.download(ids[0]) == b"of 0"
    with pytest.raises(ArtifactNotFound):
        await member.download(ids[1])


async def test_a_second_stream_of_one_upload_takes_over_from_the_first(member: Any, api: Any) -> None:
    task, upload_id = await member.draft(), SystemIds().new_id()
    begin = begun(upload_id=upload_id, task_id=task.id)
    first = member.artifacts.UploadArtifact()
    await first.write(begin)
    assert (await api.soon(first.read())).committed_offset == 0
    second = member.artifacts.UploadArtifact()
    await second.write(begin)
    assert (await api.soon(second.read())).committed_offset == 0
    await first.write(chunk(0, b"first"))
    with pytest.raises(ProtocolViolation, match="another stream"):
        await api.soon(first.read())
    await second.write(chunk(0, b"second"))
    await second.write(finish(b"second"))
    assert await member.download((await api.soon(second.read())).artifact.id) == b"second"


async def test_bytes_that_are_not_what_was_announced_become_nothing(member: Any, api: Any) -> None:
    task, upload_id = await member.draft(), SystemIds().new_id()
    begin = begun(upload_id=upload_id, task_id=task.id)
    with pytest.raises(ContentMismatch, match="from 0"):
        await member.talk(begin, chunk(0, b"weights"), finish(b"heights"))
    assert (await listed(member, task.id), kept(api.data)) == ([], [])
    with pytest.raises(UploadGap) as gap:
        await member.talk(begin, chunk(0, b"wei"), finish(b"weights"))
    assert gap.value.metadata["committed_offset"] == "3"
    with pytest.raises(UploadGap) as gap:
        await member.talk(begin, chunk(4, b"hts"))
    assert gap.value.metadata["committed_offset"] == "3"
    [*_, last] = await member.talk(begin, chunk(3, b"ghts"), finish(b"weights"))
    assert await member.download(last.artifact.id) == b"weights"


async def test_a_stream_that_keeps_no_order_is_refused(member: Any) -> None:
    task = await member.draft()
    for messages in (
        [chunk(0, b"x")],
        [],
        [begun(upload_id="a" * 32, task_id=task.id), begun(upload_id="a" * 32, task_id=task.id)],
    ):
        with pytest.raises(ProtocolViolation):
            await member.talk(*messages)
    with pytest.raises(FieldViolation, match="upload_id"):
        await member.talk(begun(upload_id="../../../../../../../etc/passwd00", task_id=task.id))
    with pytest.raises(FieldViolation, match=r"chunk\.data"):
        await member.talk(begun(upload_id="a" * 32, task_id=task.id), chunk(0, bytes(MIB + 1)))


async def test_attempts_have_names_of_their_own_and_old_ones_stay(member: Any, api: Any) -> None:
    task = await member.started()
    await api.run_of(task.id, 1).upload(b"one", task_id=task.id, attempt=1)
    await member.tasks.ResetTask(tasks.ResetTaskRequest(task_id=task.id, local_attempt=1, keep_results=True))
    await member.tasks.StartTask(tasks.StartTaskRequest(task_id=task.id))
    second = await api.run_of(task.id, 2).upload(b"two", task_id=task.id, attempt=2)
    assert [(each.name, each.attempt) for each in await listed(member, task.id)] == [("model", 1), ("model", 2)]
    newest = await member.artifacts.GetArtifact(artifacts.GetArtifactRequest(task_id=task.id, name="model"))
    assert newest.artifact == second
    old = await member.artifacts.GetArtifact(artifacts.GetArtifactRequest(task_id=task.id, name="model", attempt=1))
    assert await member.download(old.artifact.id) == b"one"
    assert sorted(path.parent.relative_to(api.data).as_posix() for path in kept(api.data)) == [
        f"artifacts/blobs/tasks/{task.id}/1",
        f"artifacts/blobs/tasks/{task.id}/2",
    ]


async def test_s6_a_run_writes_to_its_own_task_and_attempt_only_while_that_goes_on(member: Any, api: Any) -> None:
    task, other = await member.started(), await member.started()
    run = api.run_of(task.id, 1)
    made = await run.upload(b"x", task_id=task.id, attempt=1)
    with pytest.raises(OtherTask):
        await run.upload(b"x", task_id=other.id, attempt=1)
    for attempt in (0, 2):
        with pytest.raises(StaleAttempt):
            await run.upload(b"x", task_id=task.id, attempt=attempt)
    foreign = await member.upload(b"secret", task_id=other.id)
    for refused in (
        run.download(foreign.id),
        run.artifacts.GetArtifact(artifacts.GetArtifactRequest(artifact_id=foreign.id)),
        run.artifacts.ListArtifacts(artifacts.ListArtifactsRequest(task_id=other.id)),
        run.artifacts.DeleteArtifact(artifacts.DeleteArtifactRequest(artifact_id=foreign.id)),
    ):
        with pytest.raises(OtherTask):
            await refused
    with pytest.raises(RoleMissing):
        await api.stubs("viewer").upload(b"x", task_id=task.id)
    assert {row.reason for row in await api.audit(other.id)} == {"OTHER_TASK"}
    finished = tasks.FinishTaskRequest(task_id=task.id, attempt=1, state=tasks.TASK_STATE_COMPLETED)
    await member.tasks.FinishTask(finished)
    with pytest.raises(StaleAttempt):
        await run.upload(b"x", task_id=task.id, attempt=1)
    with pytest.raises(StaleAttempt):
        await run.artifacts.DeleteArtifact(artifacts.DeleteArtifactRequest(artifact_id=made.id))
    assert await run.download(made.id) == b"x"
    refused_rows = [row for row in await api.audit(task.id) if row.method.endswith("ArtifactService/UploadArtifact")]
    assert {(row.subject, row.reason, row.attempt) for row in refused_rows} >= {
        (f"attempt:{task.id}/1", "STALE_ATTEMPT", 1)
    }


async def test_an_attempt_that_ends_before_its_upload_leaves_nothing(member: Any, api: Any) -> None:
    task = await member.started()
    call = api.run_of(task.id, 1).artifacts.UploadArtifact()
    await call.write(begun(upload_id=SystemIds().new_id(), task_id=task.id, attempt=1))
    assert (await api.soon(call.read())).committed_offset == 0
    await call.write(chunk(0, b"late"))
    finished = tasks.FinishTaskRequest(task_id=task.id, attempt=1, state=tasks.TASK_STATE_COMPLETED)
    await member.tasks.FinishTask(finished)
    await call.write(finish(b"late"))
    with pytest.raises(StaleAttempt):
        await api.soon(call.read())
    assert await listed(member, task.id) == []
    assert kept(api.data) == []
    assert [row.reason for row in await api.audit(task.id)] == ["STALE_ATTEMPT"]


async def test_nothing_of_a_published_or_deleted_task_changes(member: Any) -> None:
    task = await member.started()
    made = await member.upload(b"x", task_id=task.id)
    finished = tasks.FinishTaskRequest(task_id=task.id, attempt=1, state=tasks.TASK_STATE_COMPLETED)
    await member.tasks.FinishTask(finished)
    await member.upload(b"by hand", task_id=task.id, name="notes")
    await member.tasks.PublishTask(tasks.PublishTaskRequest(task_id=task.id))
    for change in (
        member.upload(b"y", task_id=task.id),
        member.artifacts.DeleteArtifact(artifacts.DeleteArtifactRequest(artifact_id=made.id)),
    ):
        with pytest.raises(IllegalTransition):
            await change
    draft = await member.draft()
    await member.tasks.DeleteTask(tasks.DeleteTaskRequest(task_id=draft.id))
    with pytest.raises(IllegalTransition):
        await member.upload(b"y", task_id=draft.id)


async def test_lists_have_filters_and_pages(member: Any) -> None:
    task = await member.draft()
    kinds = {"a": artifacts.ARTIFACT_KIND_JSON, "b": artifacts.ARTIFACT_KIND_TEXT, "c": artifacts.ARTIFACT_KIND_JSON}
    for name, kind in kinds.items():
        await member.upload(b"x", task_id=task.id, name=name, kind=kind)
    only_json = artifacts.ArtifactFilter(kinds=[artifacts.ARTIFACT_KIND_JSON])
    assert [each.name for each in await listed(member, task.id, filter=only_json)] == ["a", "c"]
    by_name = artifacts.ArtifactFilter(names=["b", "nothing"])
    assert [each.name for each in await listed(member, task.id, filter=by_name)] == ["b"]
    seen, token = [], ""
    while True:
        request = artifacts.ListArtifactsRequest(task_id=task.id, page_size=1, page_token=token)
        answer = await member.artifacts.ListArtifacts(request)
        seen += [each.name for each in answer.artifacts]
        token = answer.next_page_token
        if not token:
            break
    assert seen == ["a", "b", "c"]
    with pytest.raises(ArtifactNotFound, match="it has 'a', 'b', 'c'"):
        await member.artifacts.GetArtifact(artifacts.GetArtifactRequest(task_id=task.id, name="d"))
    for field, asked in {"artifact_id": {}, "name": {"task_id": task.id}}.items():
        with pytest.raises(FieldViolation, match=field):
            await member.artifacts.GetArtifact(artifacts.GetArtifactRequest(**asked))


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [("artifact_bytes", "10", "artifact_bytes"), ("artifacts_per_task", "1", "artifacts_per_task")],
)
async def test_what_is_too_large_or_too_many_is_refused_by_its_limit(
    queue: Any, tmp_path: Path, make_stubs: Any, limit: str, value: str, message: str
) -> None:
    settings: dict[str, Any] = {"queue_endpoint": queue.endpoint, "limits": {limit: value}}
    async with running(build, tmp_path, service="api", **settings) as process:
        member = make_stubs(process)
        task = await member.draft()
        await member.upload(b"0123456789", task_id=task.id)
        await member.upload(b"0123456789", task_id=task.id)  # in the place of the first
        with pytest.raises(ArtifactQuota, match=message) as refused:
            await member.upload(b"0123456789x", task_id=task.id, name="next")
        assert refused.value.metadata["limit"] == limit
        if limit == "artifact_bytes":
            with pytest.raises(ArtifactQuota, match=message):
                await member.talk(begun(upload_id="a" * 32, task_id=task.id, size_bytes=11))


async def test_so_many_uploads_of_a_task_may_be_unfinished(queue: Any, tmp_path: Path, make_stubs: Any) -> None:
    settings: dict[str, Any] = {"queue_endpoint": queue.endpoint, "limits": {"uploads_per_task": "1"}}
    async with running(build, tmp_path, service="api", **settings) as process:
        member = make_stubs(process)
        task = await member.draft()
        with pytest.raises(ProtocolViolation):
            await member.talk(begun(upload_id="a" * 32, task_id=task.id))
        with pytest.raises(ArtifactQuota, match="uploads_per_task"):
            await member.talk(begun(upload_id="b" * 32, task_id=task.id))
        await member.talk(begun(upload_id="a" * 32, task_id=task.id), finish(b""))
        await member.talk(begun(upload_id="b" * 32, task_id=task.id), finish(b""))


async def test_s16_a_project_sends_artifacts_to_no_place_but_those_the_operator_allows(member: Any, api: Any) -> None:
    project = (await member.projects.CreateProject(projects.CreateProjectRequest(display_name="vision"))).project
    for uri in ("file:///etc", "/etc", "s3://elsewhere/x", "http://169.254.169.254/latest", "s3://b/../c", "gs://b"):
        update = projects.UpdateProjectRequest(
            project=projects.Project(id=project.id, default_output_uri=uri),
            update_mask={"paths": ["default_output_uri"]},
        )
        await member.projects.UpdateProject(update)
        task = await member.draft()
        with pytest.raises(FieldViolation, match="artifact_stores"):
            await member.upload(b"x", task_id=task.id)
    assert kept(api.data) == []


async def test_a_reset_that_keeps_no_results_keeps_no_artifacts(member: Any, api: Any) -> None:
    task = await member.started()
    await member.upload(b"x", task_id=task.id, attempt=1)
    await member.tasks.ResetTask(tasks.ResetTaskRequest(task_id=task.id, local_attempt=1))
    assert await listed(member, task.id) == []


async def test_what_somebody_does_by_hand_stands_in_the_audit_trail_and_a_run_s_does_not(member: Any, api: Any) -> None:
    task = await member.started()
    await member.upload(b"x", task_id=task.id, attempt=1)
    made = await member.upload(b"x", task_id=task.id, name="by hand")
    await member.artifacts.DeleteArtifact(artifacts.DeleteArtifactRequest(artifact_id=made.id))
    trail: Any = audit.AuditServiceStub(api.running.channel("admin"))
    answer = await trail.ListChanges(audit.ListChangesRequest())
    told = [each.method.rpartition("/")[2] for each in answer.changes if "Artifact" in each.method]
    assert told == ["DeleteArtifact", "UploadArtifact"]
    assert "by hand" in next(each.request for each in answer.changes if each.method.endswith("UploadArtifact"))


async def test_a_page_is_never_larger_than_a_message_may_be(member: Any) -> None:
    task = await member.draft()
    labels = {f"{number:02}": "x" * 4096 for number in range(64)}
    for number in range(20):
        await member.upload(b"", task_id=task.id, name=f"{number:02}", labels=labels, preview="p" * 60_000)
    seen, token, answers = [], "", 0
    while True:
        request = artifacts.ListArtifactsRequest(task_id=task.id, page_token=token)
        answer = await member.artifacts.ListArtifacts(request)
        assert answer.ByteSize() < 5 * MIB
        seen += [each.name for each in answer.artifacts]
        token, answers = answer.next_page_token, answers + 1
        if not token:
            break
    assert seen == [f"{number:02}" for number in range(20)]
    assert answers > 1
