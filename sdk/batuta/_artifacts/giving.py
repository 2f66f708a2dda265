"""What `Task.upload_artifact` does."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from batuta import _runtime
from batuta._artifacts.forms import Form, to_file
from batuta._artifacts.remote import ArtifactCalls


@dataclass(frozen=True)
class Given:
    """What a script hands over, and how it wants it kept."""

    name: str
    value: Any
    metadata: Mapping[str, Any]
    preview: str | None = None
    pickled: bool = False
    serialize: Callable[[Any], bytes] | None = None
    sort_keys: bool = True
    ttl: timedelta | None = None
    delete_after: bool = False


def give(calls: ArtifactCalls, task_id: str, attempt: int, given: Given) -> None:
    """Upload it. Raises `RpcError`, `TypeError`, `ValueError`, `OSError`."""
    with tempfile.TemporaryDirectory(prefix="batuta-artifact-") as scratch:
        form = _form(given, Path(scratch))
        if form.kind == "PICKLE":
            _runtime.say(
                f"artifact {given.name!r} is kept as a pickle: whoever loads it runs the code in it, and another "
                "Python or another version of its packages may not read it"
            )
        if given.preview is not None:
            form = replace(form, preview=str(given.preview))
        labels = {str(key): value if isinstance(value, str) else str(value) for key, value in given.metadata.items()}
        calls.send(task_id, attempt, given.name, form, labels, given.ttl)
    if given.delete_after and form.kind in ("FILE", "FOLDER"):
        _delete(Path(given.value).expanduser())


def _form(given: Given, scratch: Path) -> Form:
    if given.serialize is None:
        return to_file(given.value, scratch, pickled=given.pickled, sort_keys=given.sort_keys)
    path = scratch / "object"
    path.write_bytes(given.serialize(given.value))
    return Form(path, "BYTES", "application/octet-stream")


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
