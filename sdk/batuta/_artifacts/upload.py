"""Bytes of a file to the server."""

from __future__ import annotations

import hashlib
import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batuta._artifacts.trying import TRIES, until_done
from batuta_proto.artifacts import v1 as artifacts

if TYPE_CHECKING:
    from batuta_rpc.clock import Clock
    from batuta_rpc.ids import Ids

CHUNK = 512 * 1024
Tell = Callable[[int], None]
"""Is told how many bytes have been sent."""


def upload(
    stub: Any, begin: artifacts.UploadBegin, path: Path, clock: Clock, ids: Ids, tell: Tell, tries: int = TRIES
) -> artifacts.Artifact:
    """Upload a file as `begin` says; the artifact. Goes on where an earlier upload of the same id broke off.

    Raises `RpcError`, and `OSError` when the file cannot be read.
    """
    return until_done(lambda progress: _Stream(begin, path, tell, progress).run(stub), clock, ids, tries)


class _Stream:
    """One stream: a thread of gRPC's asks for requests while this one reads the answers."""

    def __init__(self, begin: artifacts.UploadBegin, path: Path, tell: Tell, progress: Callable[[], None]) -> None:
        self._begin = begin
        self._path = path
        self._tell = tell
        self._progress = progress
        self._offsets: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._trouble: OSError | None = None

    def run(self, stub: Any) -> artifacts.Artifact:
        """The artifact."""
        stood: int | None = None
        call = stub.UploadArtifact(self._requests())
        try:
            for answer in call:
                if answer.HasField("artifact"):
                    self._tell(answer.committed_offset)
                    return answer.artifact  # type: ignore[no-any-return]
                if stood is None:
                    self._offsets.put(answer.committed_offset)
                elif answer.committed_offset > stood:
                    self._progress()
                stood = answer.committed_offset
                self._tell(answer.committed_offset)
        except Exception:
            if self._trouble is not None:
                raise self._trouble from None
            raise
        finally:
            self._offsets.put(None)
            call.cancel()
        if self._trouble is not None:
            raise self._trouble
        from batuta_rpc.errors import Unavailable

        raise Unavailable("the server ended the upload without a word; try again")

    def _requests(self) -> Iterator[artifacts.UploadArtifactRequest]:
        yield artifacts.UploadArtifactRequest(begin=self._begin)
        offset = self._offsets.get()
        if offset is None:
            return
        try:
            yield from self._content(offset)
        except OSError as error:  # raised here it would end in gRPC's thread
            self._trouble = error

    def _content(self, offset: int) -> Iterator[artifacts.UploadArtifactRequest]:
        digest, place = hashlib.sha256(), 0
        with self._path.open("rb") as file:
            while data := file.read(CHUNK):
                digest.update(data)
                if place + len(data) > offset:
                    skip = max(0, offset - place)
                    yield artifacts.UploadArtifactRequest(
                        chunk=artifacts.UploadChunk(offset=place + skip, data=data[skip:])
                    )
                place += len(data)
        ended = artifacts.UploadFinish(size_bytes=place, sha256=digest.hexdigest())
        yield artifacts.UploadArtifactRequest(finish=ended)
