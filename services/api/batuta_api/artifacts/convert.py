"""Artifacts between contract and model."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import cast

from batuta_api.artifacts.model import Artifact, Content, Plan
from batuta_api.moments import stamp
from batuta_proto.artifacts import v1 as artifacts
from batuta_rpc.errors import ProtocolViolation

_FILE = int(artifacts.ARTIFACT_KIND_FILE)


def plan_of(first: artifacts.UploadArtifactRequest) -> Plan:
    """What is to be uploaded, by the first message of a stream. Raises `ProtocolViolation`."""
    if first.WhichOneof("step") != "begin":
        raise ProtocolViolation("the first message of UploadArtifact is `begin`")
    begin = first.begin
    mark = hashlib.sha256(begin.SerializeToString(deterministic=True)).hexdigest()
    return Plan(
        upload_id=begin.upload_id,
        task_id=begin.task_id,
        attempt=begin.attempt,
        name=begin.name,
        mark=mark,
        kind=int(begin.kind) or _FILE,
        media_type=begin.media_type,
        labels=tuple(sorted(begin.labels.items())),
        preview=begin.preview,
        size_bytes=begin.size_bytes,
        ttl=timedelta(seconds=begin.ttl.seconds, microseconds=begin.ttl.nanos // 1000)
        if begin.HasField("ttl")
        else None,
    )


def content_of(finish: artifacts.UploadFinish) -> Content:
    """What the client says that its bytes are."""
    return Content(finish.size_bytes, finish.sha256)


def render(artifact: Artifact) -> artifacts.Artifact:
    """As the contract shows it."""
    return artifacts.Artifact(
        id=artifact.id,
        task_id=artifact.task_id,
        attempt=artifact.attempt,
        name=artifact.name,
        kind=cast("artifacts.ArtifactKind", artifact.kind),
        media_type=artifact.media_type,
        labels=dict(artifact.labels),
        preview=artifact.preview,
        size_bytes=artifact.size_bytes,
        sha256=artifact.sha256,
        uri=artifact.address.uri,
        create_time=stamp(artifact.create_time),
        expire_time=stamp(artifact.expire_time),
        creator=artifact.creator,
    )
