"""What is kept of artifacts, in the words of the domain. Their bytes lie elsewhere: see `blobs`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from batuta_api.artifacts.model import Address, Artifact, Upload


@dataclass(frozen=True)
class Wanted:
    """Which artifacts of a task. What is 0 or empty does not count."""

    task_id: str
    attempt: int = 0
    names: tuple[str, ...] = ()
    kinds: tuple[int, ...] = ()


class ArtifactStore(Protocol):
    """The artifacts and uploads of one transaction."""

    def add(self, artifact: Artifact) -> None:
        """Keep a new artifact. There is none of its id, nor of its name in its attempt."""
        ...

    def get(self, artifact_id: str) -> Artifact | None:
        """By id."""
        ...

    def named(self, task_id: str, name: str, attempt: int | None = None) -> Artifact | None:
        """By name: that of an attempt, or of the newest that has one."""
        ...

    def page(self, wanted: Wanted, after: tuple[str, int] | None, limit: int) -> list[Artifact]:
        """The next artifacts after a name and an attempt, in that order."""
        ...

    def count(self, task_id: str) -> int:
        """How many artifacts a task has."""
        ...

    def expired(self, now: datetime, limit: int) -> list[Artifact]:
        """Some whose time is over."""
        ...

    def remove(self, artifact_id: str) -> None:
        """Forget an artifact; its bytes are another matter."""
        ...

    def add_upload(self, upload: Upload) -> None:
        """Keep a new upload."""
        ...

    def upload(self, upload_id: str) -> Upload | None:
        """By id."""
        ...

    def put_upload(self, upload: Upload) -> None:
        """Keep a changed upload."""
        ...

    def remove_upload(self, upload_id: str) -> None:
        """Forget an upload."""
        ...

    def uploads(self, task_id: str) -> list[Upload]:
        """Those of a task."""
        ...

    def idle_uploads(self, before: datetime, limit: int) -> list[Upload]:
        """Some that were last touched before a moment."""
        ...

    def known_uploads(self, upload_ids: Sequence[str]) -> set[str]:
        """Those of the ids that are uploads."""
        ...

    def discard(self, address: Address, due_time: datetime) -> None:
        """Have bytes removed, at a moment or later; of an address that is known, the moment moves."""
        ...

    def due(self, now: datetime, limit: int) -> list[Address]:
        """Some bytes that are to be removed now, the longest due ones first."""
        ...

    def discarded(self, address: Address) -> None:
        """The bytes are gone."""
        ...
