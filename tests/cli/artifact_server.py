"""Artifacts of the commands' small server: in memory, and cut off where a test says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

import grpc

from batuta_proto.artifacts import v1 as artifacts
from batuta_rpc import errors


def fail(context: grpc.ServicerContext, error: errors.RpcError) -> NoReturn:
    """End the call as a service of ours does."""
    status = errors.to_status(error)
    context.set_trailing_metadata(((errors.DETAILS_KEY, status.SerializeToString()),))
    context.abort(error.code, error.message)
    raise AssertionError("abort raises")


@dataclass
class Shelf:
    """What there is."""

    kept: dict[str, artifacts.Artifact] = field(default_factory=dict[str, artifacts.Artifact])
    data: dict[str, bytes] = field(default_factory=dict[str, bytes])
    begun: list[artifacts.UploadBegin] = field(default_factory=list[artifacts.UploadBegin])
    offsets: list[int] = field(default_factory=list[int])
    partial: dict[str, bytes] = field(default_factory=dict[str, bytes])
    cut_upload_after: list[int] = field(default_factory=list[int])
    cut_read_after: list[int] = field(default_factory=list[int])
    refuse: errors.RpcError | None = None

    def put(self, name: str, data: bytes, **fields: object) -> artifacts.Artifact:
        """Something that is there already."""
        made = artifacts.Artifact(
            id=hashlib.md5(name.encode()).hexdigest(),
            task_id="t1",
            attempt=1,
            name=name,
            kind=artifacts.ARTIFACT_KIND_FILE,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        made.MergeFrom(artifacts.Artifact(**fields))  # type: ignore[arg-type]
        self.kept[made.id], self.data[made.id] = made, data
        return made


class Artifacts(artifacts.ArtifactServiceServicer):
    """The service."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def GetArtifact(
        self, request: artifacts.GetArtifactRequest, context: grpc.ServicerContext
    ) -> artifacts.GetArtifactResponse:
        for each in self._shelf.kept.values():
            if request.artifact_id == each.id or (request.task_id, request.name) == (each.task_id, each.name):
                return artifacts.GetArtifactResponse(artifact=each)
        fail(context, errors.ArtifactNotFound(f"task {request.task_id} has no artifact {request.name!r}"))

    def ListArtifacts(
        self, request: artifacts.ListArtifactsRequest, context: grpc.ServicerContext
    ) -> artifacts.ListArtifactsResponse:
        found = [each for each in self._shelf.kept.values() if each.task_id == request.task_id]
        kinds, names = request.filter.kinds, request.filter.names
        found = [each for each in found if (not kinds or each.kind in kinds) and (not names or each.name in names)]
        return artifacts.ListArtifactsResponse(artifacts=sorted(found, key=lambda each: each.name))

    def DeleteArtifact(
        self, request: artifacts.DeleteArtifactRequest, context: grpc.ServicerContext
    ) -> artifacts.DeleteArtifactResponse:
        return artifacts.DeleteArtifactResponse(artifact=self._shelf.kept.pop(request.artifact_id))

    def ReadArtifact(
        self, request: artifacts.ReadArtifactRequest, context: grpc.ServicerContext
    ) -> Iterator[artifacts.ReadArtifactResponse]:
        self._shelf.offsets.append(request.offset)
        data = self._shelf.data[request.artifact_id]
        yield artifacts.ReadArtifactResponse(artifact=self._shelf.kept[request.artifact_id])
        cut = self._shelf.cut_read_after.pop(0) if self._shelf.cut_read_after else len(data)
        for place in range(request.offset, len(data), 1000):
            if place >= cut:
                fail(context, errors.ShuttingDown("this process is going down."))
            yield artifacts.ReadArtifactResponse(offset=place, data=data[place : place + 1000])

    def UploadArtifact(
        self, request_iterator: Iterator[artifacts.UploadArtifactRequest], context: grpc.ServicerContext
    ) -> Iterator[artifacts.UploadArtifactResponse]:
        shelf, begin = self._shelf, next(request_iterator).begin
        shelf.begun.append(begin)
        if shelf.refuse is not None:
            fail(context, shelf.refuse)
        if begin.upload_id in shelf.kept:
            yield artifacts.UploadArtifactResponse(artifact=shelf.kept[begin.upload_id])
            return
        data = shelf.partial.get(begin.upload_id, b"")
        cut = shelf.cut_upload_after.pop(0) if shelf.cut_upload_after else None
        yield artifacts.UploadArtifactResponse(committed_offset=len(data))
        for request in request_iterator:
            if request.WhichOneof("step") == "finish":
                assert request.finish.sha256 == hashlib.sha256(data).hexdigest()
                made = shelf.put(
                    begin.name, data, id=begin.upload_id, task_id=begin.task_id, labels=begin.labels, kind=begin.kind,
                    media_type=begin.media_type, preview=begin.preview, attempt=begin.attempt,
                )  # fmt: skip
                yield artifacts.UploadArtifactResponse(committed_offset=len(data), artifact=made)
                return
            assert request.chunk.offset == len(data)
            data += request.chunk.data
            shelf.partial[begin.upload_id] = data
            if cut is not None and len(data) >= cut:
                fail(context, errors.ShuttingDown("this process is going down."))
