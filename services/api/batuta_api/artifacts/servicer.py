"""`ArtifactService`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from batuta_api.artifacts import listing
from batuta_api.artifacts.convert import render
from batuta_api.artifacts.reading import ArtifactReader
from batuta_api.artifacts.receiving import ByteRoom, Receiver
from batuta_api.calls import Calls, Context
from batuta_api.closing import Closing
from batuta_api.limits import Limits, Places
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_proto.artifacts import v1 as artifacts
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids

SERVICE = "batuta.artifacts.v1.ArtifactService"


@dataclass(frozen=True)
class Surroundings:
    """What the servicer works with."""

    calls: Calls
    room: ByteRoom
    closing: Closing
    clock: Clock
    ids: Ids
    limits: Limits


class ArtifactServicer(artifacts.ArtifactServiceServicer):
    """Artifacts: parse, call, render."""

    def __init__(self, around: Surroundings) -> None:
        self._calls = around.calls
        self._clock = around.clock
        self._uploads = Places("artifact_uploads", around.limits.artifact_uploads)
        self._downloads = Places("artifact_downloads", around.limits.artifact_downloads)
        self._receiver = Receiver(around.calls, around.room, around.closing, around.clock, around.ids, around.limits)
        self._reader = ArtifactReader(around.calls, around.room.places, around.room.threads, around.closing)

    async def UploadArtifact(
        self, request_iterator: AsyncIterator[artifacts.UploadArtifactRequest], context: Context
    ) -> AsyncIterator[artifacts.UploadArtifactResponse]:
        """Take an artifact."""
        with self._uploads.one():
            async with aclosing(self._receiver.receive(request_iterator)) as answers:
                async for answer in answers:
                    yield answer

    async def ReadArtifact(
        self, request: artifacts.ReadArtifactRequest, context: Context
    ) -> AsyncIterator[artifacts.ReadArtifactResponse]:
        """Stream the bytes of an artifact."""
        with self._downloads.one():
            async with aclosing(self._reader.read(request)) as pieces:
                async for piece in pieces:
                    yield piece

    async def GetArtifact(
        self, request: artifacts.GetArtifactRequest, context: Context
    ) -> artifacts.GetArtifactResponse:
        """One artifact."""
        found = await self._calls.ask("GetArtifact", lambda work, caller: listing.one(work, caller, request))
        return artifacts.GetArtifactResponse(artifact=render(found))

    async def ListArtifacts(
        self, request: artifacts.ListArtifactsRequest, context: Context
    ) -> artifacts.ListArtifactsResponse:
        """One page of a task's artifacts."""
        query = listing.query(request)
        return await self._calls.ask("ListArtifacts", lambda work, caller: listing.page(work, caller, query))

    async def DeleteArtifact(
        self, request: artifacts.DeleteArtifactRequest, context: Context
    ) -> artifacts.DeleteArtifactResponse:
        """Delete an artifact."""

        def delete(work: Work, caller: Caller) -> artifacts.DeleteArtifactResponse:
            gone = listing.delete(work, caller, request.artifact_id, self._clock.now())
            return artifacts.DeleteArtifactResponse(artifact=render(gone))

        return await self._calls.change("DeleteArtifact", request, delete)
