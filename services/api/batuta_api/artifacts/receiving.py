"""One upload as a conversation: begin, chunks, finish."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from batuta_api.artifacts import removing, uploading
from batuta_api.artifacts.arriving import arriving
from batuta_api.artifacts.convert import content_of, plan_of, render
from batuta_api.artifacts.model import Artifact, Content, Plan, Upload
from batuta_api.artifacts.places import BlobPlaces, Forbidden
from batuta_api.artifacts.staging import Held, Staging
from batuta_api.artifacts.threads import BlobThreads
from batuta_api.calls import Calls
from batuta_api.closing import Closing
from batuta_api.limits import Limits
from batuta_api.violations import violation
from batuta_api.work import Work
from batuta_chassis.caller import current_caller
from batuta_proto.artifacts import v1 as artifacts
from batuta_rpc.clock import Clock
from batuta_rpc.errors import (
    ContentMismatch,
    IllegalTransition,
    OtherTask,
    ProtocolViolation,
    StaleAttempt,
    TaskNotFound,
    UploadGap,
)
from batuta_rpc.ids import Ids

METHOD = "UploadArtifact"
Note = Callable[[Work], None]
"""Writes an upload into the audit trail."""
_ANSWER_BYTES = 4 << 20
"""After so many bytes the client hears where the server stands."""
_CHECK_BYTES = 64 << 20
"""After so many bytes the server looks whether the upload may still be."""
_CHECK_SECONDS = 60.0
"""After so long it does so at the next bytes."""
_NEVER = (StaleAttempt, OtherTask, TaskNotFound, IllegalTransition)
"""After these, no later try of the upload can succeed."""


@dataclass(frozen=True)
class ByteRoom:
    """What bytes need, on their way in and out."""

    places: BlobPlaces
    staging: Staging
    threads: BlobThreads


class Receiver:
    """Takes uploads."""

    def __init__(self, calls: Calls, room: ByteRoom, closing: Closing, clock: Clock, ids: Ids, limits: Limits) -> None:
        self._calls = calls
        self._room = room
        self._closing = closing
        self._clock = clock
        self._ids = ids
        self._limits = limits

    async def receive(
        self, requests: AsyncIterator[artifacts.UploadArtifactRequest]
    ) -> AsyncGenerator[artifacts.UploadArtifactResponse]:
        """Answers with offsets, and at the end with the artifact. Raises what the contract says."""
        async with aclosing(arriving(requests, self._closing, self._clock)) as messages:
            first = await anext(messages, artifacts.UploadArtifactRequest())
            plan, note = plan_of(first), self._calls.noting(METHOD, first.begin)
            # Held first: another stream of this upload may be about to finish it.
            async with self._room.staging.hold(plan.upload_id) as held:
                begun = await self._begin(plan)
                if isinstance(begun, Artifact):
                    yield _whole(begun)
                    return
                await held.open()
                yield artifacts.UploadArtifactResponse(committed_offset=held.size)
                try:
                    async with aclosing(self._go_on(plan, held, messages, note)) as answers:
                        async for answer in answers:
                            yield answer
                except _NEVER:
                    await self._give_up(plan)
                    raise

    async def _begin(self, plan: Plan) -> Artifact | Upload:
        """The artifact, when the upload has finished before."""
        caller, now = current_caller(), self._clock.now()
        return await self._calls.guarded(
            METHOD, lambda work: uploading.begin(work, caller, plan, self._destination, now, self._ids)
        )

    def _destination(self, project_uri: str) -> str:
        try:
            return self._room.places.destination(project_uri)
        except Forbidden as error:
            raise violation("task_id", str(error)) from None

    async def _go_on(
        self, plan: Plan, held: Held, messages: AsyncIterator[artifacts.UploadArtifactRequest], note: Note
    ) -> AsyncGenerator[artifacts.UploadArtifactResponse]:
        answered = checked = held.size
        looked = self._clock.monotonic()
        async for message in messages:
            step = message.WhichOneof("step")
            if step == "begin":
                raise ProtocolViolation("`begin` comes once in a stream")
            if step == "finish":
                yield _whole(await self._finish(plan, held, content_of(message.finish), note))
                return
            await self._take(plan, held, message.chunk)
            if held.size - checked >= _CHECK_BYTES or self._clock.monotonic() - looked >= _CHECK_SECONDS:
                checked, looked = held.size, self._clock.monotonic()
                await self._check(plan)
            if held.size - answered >= _ANSWER_BYTES:
                answered = held.size
                yield artifacts.UploadArtifactResponse(committed_offset=held.size)
        raise ProtocolViolation("the stream ended without `finish`; go on with another one of the same upload_id")

    async def _check(self, plan: Plan) -> None:
        """Look whether the upload may still be, and say that it is alive."""
        caller, now = current_caller(), self._clock.now()
        await self._calls.guarded(METHOD, lambda work: uploading.go_on(work, caller, plan, now))

    async def _take(self, plan: Plan, held: Held, chunk: artifacts.UploadChunk) -> None:
        """Store what is new of a chunk."""
        if chunk.offset > held.size:
            raise UploadGap(
                f"the chunk begins at {chunk.offset}, but only the bytes before {held.size} are stored: go on there",
                upload_id=plan.upload_id,
                committed_offset=held.size,
            )
        new = chunk.data[held.size - chunk.offset :]
        uploading.check_size(plan, held.size + len(new), self._limits.artifact_bytes)
        if new:
            await held.append(new)

    async def _finish(self, plan: Plan, held: Held, told: Content, note: Note) -> Artifact:
        """Make the artifact: bytes first, then its row, and only then is anything said of it."""
        async with held.finishing() as content:
            if content != told:
                await self._mismatch(plan, content, told)
            upload = await self._complete(plan, content)
            if isinstance(upload, Artifact):
                artifact = upload
            else:
                store, key = self._room.places.at(upload.store), upload.key
                await self._room.threads.run(lambda: store.put(held.path, key))
                artifact = await self._commit(plan, content, note)
            await self._room.staging.discard(plan.upload_id)
            return artifact

    async def _complete(self, plan: Plan, content: Content) -> Artifact | Upload:
        caller, now = current_caller(), self._clock.now()
        return await self._calls.guarded(METHOD, lambda work: uploading.complete(work, caller, plan, content, now))

    async def _commit(self, plan: Plan, content: Content, note: Note) -> Artifact:
        """Make the row. What is done by hand is a change that the audit trail tells; what a run leaves is data."""
        caller, now = current_caller(), self._clock.now()

        def commit(work: Work) -> Artifact:
            artifact = uploading.commit(work, caller, plan, content, now)
            if not plan.attempt:
                note(work)
            return artifact

        return await self._calls.guarded(METHOD, commit)

    async def _mismatch(self, plan: Plan, content: Content, told: Content) -> None:
        """Refuse bytes that are not what they should be. More may be missing, or they are wrong: then all go."""
        if content.size_bytes < told.size_bytes:
            raise UploadGap(
                f"the upload should have {told.size_bytes} bytes, and {content.size_bytes} are stored: go on there",
                upload_id=plan.upload_id,
                committed_offset=content.size_bytes,
            )
        await self._room.staging.discard(plan.upload_id)
        raise ContentMismatch(
            f"{content.size_bytes} bytes with SHA-256 {content.sha256} are stored, but {told.size_bytes} with "
            f"{told.sha256} were announced: the file changed while it was read, or on its way. Upload it again from 0",
            upload_id=plan.upload_id,
            size_bytes=content.size_bytes,
            sha256=content.sha256,
        )

    async def _give_up(self, plan: Plan) -> None:
        now = self._clock.now()

        def forget(work: Work) -> None:
            upload = work.artifacts.upload(plan.upload_id)
            if upload is not None and upload.mark == plan.mark:
                removing.give_up(work, upload, now)

        await self._calls.guarded(METHOD, forget)
        await self._room.staging.discard(plan.upload_id)


def _whole(artifact: Artifact) -> artifacts.UploadArtifactResponse:
    return artifacts.UploadArtifactResponse(committed_offset=artifact.size_bytes, artifact=render(artifact))
