"""Bytes of an artifact into a file: whole under its name, or not there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batuta._artifacts.trying import TRIES, until_done
from batuta_proto.artifacts import v1 as artifacts
from batuta_rpc.errors import ContentLost

if TYPE_CHECKING:
    from batuta_rpc.clock import Clock
    from batuta_rpc.ids import Ids

Tell = Callable[[int], None]
_READ = 1 << 20
_LONGEST = 120
_FLAGS = os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def file_name(artifact: artifacts.Artifact) -> str:
    """A name for a file of the artifact: letters, digits and a few signs, never hidden, never a way."""
    safe = re.sub(r"[^\w.()+=@, -]", "_", artifact.name)[:_LONGEST].strip(" .")
    return safe.lstrip("-") or "artifact"


def own_folder(artifact: artifacts.Artifact) -> str:
    """A name for a folder of this artifact's alone; its id comes from the server, and is not trusted to be a word."""
    return hashlib.sha256(artifact.id.encode()).hexdigest()[:32]


def download(
    stub: Any,
    artifact: artifacts.Artifact,
    target: Path,
    clock: Clock,
    ids: Ids,
    tell: Tell,
    *,
    replace: bool = False,
    tries: int = TRIES,
) -> None:
    """Write the artifact's bytes into a file, which appears once they are all there and have the right SHA-256.

    What an earlier try has brought is gone on with: it lies beside the file, under a name of its own. Raises
    `RpcError`, `OSError`, and `FileExistsError` unless `replace`.
    """
    if not replace and os.path.lexists(target):
        raise FileExistsError(17, "it is there already", str(target))
    part = target.with_name(f".{target.name}.{own_folder(artifact)[:16]}.part")
    until_done(lambda progress: _fetch(stub, artifact, part, tell, progress), clock, ids, tries)
    if replace:
        os.replace(part, target)
    else:
        _appear(part, target)
    _sync_folder(target.parent)


def _fetch(stub: Any, artifact: artifacts.Artifact, part: Path, tell: Tell, progress: Callable[[], None]) -> None:
    with os.fdopen(os.open(part, _FLAGS, 0o666), "r+b", buffering=0) as file:
        digest = hashlib.sha256()
        while data := file.read(_READ):
            digest.update(data)
        place = file.tell()
        if place < artifact.size_bytes:
            request = artifacts.ReadArtifactRequest(artifact_id=artifact.id, offset=place)
            for answer in stub.ReadArtifact(request):
                if answer.data:
                    file.write(answer.data)
                    digest.update(answer.data)
                    place += len(answer.data)
                    progress()
                    tell(place)
        os.fsync(file.fileno())
    if (place, digest.hexdigest()) != (artifact.size_bytes, artifact.sha256):
        part.unlink()
        raise ContentLost(
            f"the {place} bytes that came of artifact {artifact.name!r} have SHA-256 {digest.hexdigest()}, not the "
            f"{artifact.size_bytes} with {artifact.sha256} that were stored; nothing was kept. Try once more; if it "
            "comes again, the bytes on the server are damaged",
            artifact_id=artifact.id,
        )


def _appear(part: Path, target: Path) -> None:
    """Give the file its name unless somebody has it meanwhile."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise FileExistsError(17, "it is there already", str(target)) from None
    except OSError:  # a file system without links
        if os.path.lexists(target):
            raise FileExistsError(17, "it is there already", str(target)) from None
        os.replace(part, target)
        return
    part.unlink()


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
