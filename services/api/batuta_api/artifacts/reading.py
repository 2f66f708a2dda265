"""Bytes of artifacts on their way to readers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial

from batuta_api.artifacts import listing
from batuta_api.artifacts.blobs import BlobMissing, BlobReader
from batuta_api.artifacts.convert import render
from batuta_api.artifacts.model import Artifact
from batuta_api.artifacts.places import BlobPlaces
from batuta_api.artifacts.threads import BlobThreads
from batuta_api.calls import Calls
from batuta_api.closing import Closing
from batuta_api.violations import violation
from batuta_proto.artifacts import v1 as artifacts
from batuta_rpc.errors import ContentLost

_PIECE = 512 * 1024


class ArtifactReader:
    """Streams bytes."""

    def __init__(self, calls: Calls, places: BlobPlaces, threads: BlobThreads, closing: Closing) -> None:
        self._calls = calls
        self._places = places
        self._threads = threads
        self._closing = closing

    async def read(self, asked: artifacts.ReadArtifactRequest) -> AsyncGenerator[artifacts.ReadArtifactResponse]:
        """The artifact, then the bytes that are asked for.

        Raises `FieldViolation`, `ArtifactNotFound`, `OtherTask`, `ContentLost`, `StorageFailed`,
        `UpstreamUnavailable`, `ShuttingDown`.
        """
        artifact = await self._calls.ask(
            "ReadArtifact", lambda work, caller: listing.find(work, caller, asked.artifact_id)
        )
        offset, end = _span(artifact, asked)
        yield artifacts.ReadArtifactResponse(artifact=render(artifact), offset=offset)
        if offset == end:
            return
        reader = await self._open(artifact, offset)
        try:
            while offset < end:
                self._closing.check()
                size = min(_PIECE, end - offset)
                data = await self._threads.run(partial(reader.read, size))
                if not data:
                    raise _lost(artifact)
                yield artifacts.ReadArtifactResponse(offset=offset, data=data)
                offset += len(data)
        except BlobMissing:
            raise _lost(artifact) from None
        finally:
            await self._threads.run(reader.close)

    async def _open(self, artifact: Artifact, offset: int) -> BlobReader:
        store = self._places.at(artifact.store)

        def begin() -> BlobReader:
            reader = store.open(artifact.key)
            try:
                reader.seek(offset)
            except BaseException:
                reader.close()
                raise
            return reader

        try:
            return await self._threads.run(begin)
        except BlobMissing:
            raise _lost(artifact) from None


def _span(artifact: Artifact, asked: artifacts.ReadArtifactRequest) -> tuple[int, int]:
    if asked.offset > artifact.size_bytes:
        raise violation("offset", f"is beyond the end: the artifact has {artifact.size_bytes} bytes")
    rest = artifact.size_bytes - asked.offset
    return asked.offset, asked.offset + (min(asked.length, rest) if asked.length else rest)


def _lost(artifact: Artifact) -> ContentLost:
    return ContentLost(
        f"the bytes of artifact {artifact.name!r} ({artifact.id}) are gone from where they were stored; the operator "
        "brings them back from a backup",
        resource=("artifact", artifact.id),
        artifact_id=artifact.id,
    )
