"""An artifact in a script's hands."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batuta._artifacts.forms import from_file

if TYPE_CHECKING:
    from batuta._artifacts.remote import ArtifactCalls
    from batuta_proto.artifacts import v1 as artifacts

_READ = 1 << 20
CACHE_VARIABLE = "BATUTA_CACHE_DIR"


class Artifact:
    """A file that a task left. Made by `Task.artifacts`, never directly."""

    def __init__(self, calls: ArtifactCalls, known: artifacts.Artifact) -> None:
        """Made by the SDK; not by scripts."""
        self._calls = calls
        self._known = known

    @property
    def id(self) -> str:
        """Its id, which stands for its bytes: they never change."""
        return self._known.id

    @property
    def name(self) -> str:
        """The name its task gave."""
        return self._known.name

    @property
    def attempt(self) -> int:
        """The attempt that made it."""
        return self._known.attempt

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self._known.size_bytes

    @property
    def hash(self) -> str:
        """SHA-256 of its bytes, in hexadecimal digits."""
        return self._known.sha256

    @property
    def type(self) -> str:
        """What it is: file, folder, text, json, bytes, array, table, image or pickle."""
        return self._kind.lower()

    @property
    def metadata(self) -> Mapping[str, str]:
        """What was said about it."""
        return dict(self._known.labels)

    @property
    def preview(self) -> str:
        """Some words to show instead of it."""
        return self._known.preview

    @property
    def url(self) -> str:
        """Where its bytes lie, when in an object store; else empty: the server keeps them."""
        return self._known.uri

    @property
    def timestamp(self) -> datetime:
        """When it was complete."""
        return self._known.create_time.ToDatetime().replace(tzinfo=timezone.utc)

    @property
    def _kind(self) -> str:
        from batuta_proto.artifacts import v1 as artifacts

        return str(artifacts.ArtifactKind.Name(self._known.kind)).replace("ARTIFACT_KIND_", "")

    def get(
        self,
        force_download: bool = False,
        deserialization_function: Callable[[bytes], Any] | None = None,
        allow_pickle: bool = False,
    ) -> Any:
        """The object that was uploaded; of a file or folder, the path of a local copy.

        `deserialization_function` makes it of the bytes. Raises `RpcError`, and `PickleRefused` for a pickle unless
        `allow_pickle`: loading one runs whatever code is in it.
        """
        if deserialization_function is not None:
            return deserialization_function(self._file(force_download).read_bytes())
        if self._kind in ("FILE", "FOLDER"):
            return Path(self.get_local_copy(force_download=force_download))
        if self._kind == "PICKLE" and allow_pickle:
            from batuta import _runtime

            _runtime.say(f"artifact {self.name!r} is a pickle: loading it runs whatever code is in it")
        return from_file(self._file(force_download), self._kind, self._known.media_type, pickled=allow_pickle)

    def get_local_copy(self, extract_archive: bool = True, force_download: bool = False) -> str:
        """The path of a copy here, whose SHA-256 was checked; of a folder, that of the folder unless told otherwise.

        Raises `RpcError`, and `UnsafeArchive`.
        """
        path = self._file(force_download)
        return str(self._unpacked(path) if self._kind == "FOLDER" and extract_archive else path)

    def _file(self, anew: bool) -> Path:
        """The file in the cache, brought there unless it is."""
        from batuta._artifacts.download import file_name, own_folder

        folder = _cache() / own_folder(self._known) / "file"
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / file_name(self._known)
        if anew or not self._is(path):
            self._calls.fetch(self._known, path)
        return path

    def _is(self, path: Path) -> bool:
        if not path.is_file() or path.is_symlink() or path.stat().st_size != self.size:
            return False
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while data := file.read(_READ):
                digest.update(data)
        return digest.hexdigest() == self.hash

    def _unpacked(self, path: Path) -> Path:
        from batuta._artifacts import archive

        folder = path.parent.with_name("unpacked")
        if folder.is_dir():
            return folder
        scratch = folder.with_name(f"unpacked.{os.getpid()}")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        try:
            archive.unpack(path, scratch)
            scratch.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return folder

    def __repr__(self) -> str:
        """For people."""
        return f"<Artifact {self.name!r} ({self.type}, {self.size} bytes)>"


def _cache() -> Path:
    named = os.environ.get(CACHE_VARIABLE)
    root = Path(named).expanduser() if named else Path("~/.batuta/cache").expanduser()
    return root / "artifacts"
