"""The calls about artifacts, on the SDK's control channel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batuta import _runtime
from batuta_proto.artifacts import v1 as artifacts

if TYPE_CHECKING:
    from batuta._artifacts.forms import Form
    from batuta._server import Server

_PAGE = 200


class ArtifactCalls:
    """A server, as artifacts see it. Its errors are those of `batuta_rpc.errors`.

    Calls by name are gRPC's own; each opens the channel anew if a fork has closed it meanwhile.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def send(
        self, task_id: str, attempt: int, name: str, form: Form, labels: Mapping[str, str], ttl: timedelta | None
    ) -> artifacts.Artifact:
        """Upload a file. `attempt` is that of the caller's own run; 0 for another's task."""
        from batuta._artifacts.upload import upload

        begin = artifacts.UploadBegin(
            upload_id=_runtime.process.ids.new_id(),
            task_id=task_id,
            attempt=attempt,
            name=name,
            kind=f"ARTIFACT_KIND_{form.kind}",
            media_type=form.media_type,
            labels=labels,
            preview=form.preview,
            size_bytes=form.path.stat().st_size,
        )
        if ttl is not None:
            begin.ttl.FromTimedelta(ttl)
        return upload(self, begin, form.path, _runtime.process.clock, _runtime.process.ids, _nobody)

    def fetch(self, artifact: artifacts.Artifact, target: Path) -> None:
        """Download into a file, which is replaced."""
        from batuta._artifacts.download import download

        process = _runtime.process
        download(self, artifact, target, process.clock, process.ids, _nobody, replace=True)

    def all(self, task_id: str) -> list[artifacts.Artifact]:
        """Every artifact of a task, by name and attempt."""
        found: list[artifacts.Artifact] = []
        token = ""
        while True:
            request = artifacts.ListArtifactsRequest(task_id=task_id, page_size=_PAGE, page_token=token)
            answer = self._call("ListArtifacts", request)
            found += answer.artifacts
            token = answer.next_page_token
            if not token:
                return found

    def delete(self, artifact_id: str) -> None:
        """Delete one."""
        request_id = _runtime.process.ids.request_id()
        self._call("DeleteArtifact", artifacts.DeleteArtifactRequest(artifact_id=artifact_id, request_id=request_id))

    def UploadArtifact(self, requests: Iterator[artifacts.UploadArtifactRequest]) -> Any:
        """The call of that name."""
        return self._call("UploadArtifact", requests)

    def ReadArtifact(self, request: artifacts.ReadArtifactRequest) -> Any:
        """The call of that name."""
        return self._call("ReadArtifact", request)

    def _call(self, method: str, request: Any) -> Any:
        from batuta_rpc.errors import Cancelled

        try:
            return getattr(artifacts.ArtifactServiceStub(self._server.channel()), method)(request)
        except ValueError as error:  # gRPC's word for a closed channel
            raise Cancelled(f"the channel was closed by a fork: {error}") from None


def _nobody(_done: int) -> None:
    return
