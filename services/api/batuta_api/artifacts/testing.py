"""Artifacts in memory, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from batuta_api.artifacts.model import Address, Artifact, Upload
from batuta_api.artifacts.store import Wanted


class MemoryArtifactStore:
    """`ArtifactStore` in dictionaries."""

    def __init__(self) -> None:
        self._artifacts: dict[str, Artifact] = {}
        self._uploads: dict[str, Upload] = {}
        self._discards: dict[Address, datetime] = {}

    def add(self, artifact: Artifact) -> None:
        """Keep a new artifact."""
        if artifact.id in self._artifacts or self.named(artifact.task_id, artifact.name, artifact.attempt):
            raise ValueError(f"artifact {artifact.id} exists")
        self._artifacts[artifact.id] = artifact

    def get(self, artifact_id: str) -> Artifact | None:
        """By id."""
        return self._artifacts.get(artifact_id)

    def named(self, task_id: str, name: str, attempt: int | None = None) -> Artifact | None:
        """By name."""
        found = self.page(Wanted(task_id, 0, (name,)), None, len(self._artifacts))
        fitting = [each for each in found if attempt in (None, each.attempt)]
        return fitting[-1] if fitting else None

    def page(self, wanted: Wanted, after: tuple[str, int] | None, limit: int) -> list[Artifact]:
        """The next artifacts after a name and an attempt."""
        fitting = [
            each
            for each in self._artifacts.values()
            if each.task_id == wanted.task_id
            and wanted.attempt in (0, each.attempt)
            and (not wanted.names or each.name in wanted.names)
            and (not wanted.kinds or each.kind in wanted.kinds)
            and (after is None or (each.name, each.attempt) > after)
        ]
        return sorted(fitting, key=lambda each: (each.name, each.attempt))[:limit]

    def count(self, task_id: str) -> int:
        """How many artifacts a task has."""
        return sum(each.task_id == task_id for each in self._artifacts.values())

    def expired(self, now: datetime, limit: int) -> list[Artifact]:
        """Some whose time is over."""
        over = [each for each in self._artifacts.values() if each.expire_time is not None and each.expire_time <= now]
        return over[:limit]

    def remove(self, artifact_id: str) -> None:
        """Forget an artifact."""
        self._artifacts.pop(artifact_id, None)

    def add_upload(self, upload: Upload) -> None:
        """Keep a new upload."""
        if upload.id in self._uploads:
            raise ValueError(f"upload {upload.id} exists")
        self._uploads[upload.id] = upload

    def upload(self, upload_id: str) -> Upload | None:
        """By id."""
        return self._uploads.get(upload_id)

    def put_upload(self, upload: Upload) -> None:
        """Keep a changed upload."""
        self._uploads[upload.id] = upload

    def remove_upload(self, upload_id: str) -> None:
        """Forget an upload."""
        self._uploads.pop(upload_id, None)

    def uploads(self, task_id: str) -> list[Upload]:
        """Those of a task."""
        return [each for each in self._uploads.values() if each.task_id == task_id]

    def idle_uploads(self, before: datetime, limit: int) -> list[Upload]:
        """Some that were last touched before a moment."""
        return [each for each in self._uploads.values() if each.touch_time < before][:limit]

    def known_uploads(self, upload_ids: Sequence[str]) -> set[str]:
        """Those of the ids that are uploads."""
        return self._uploads.keys() & set(upload_ids)

    def discard(self, address: Address, due_time: datetime) -> None:
        """Have bytes removed."""
        self._discards[address] = due_time

    def due(self, now: datetime, limit: int) -> list[Address]:
        """Some bytes that are to be removed now."""
        due = sorted((moment, address.key, address) for address, moment in self._discards.items() if moment <= now)
        return [address for _, _, address in due][:limit]

    def discarded(self, address: Address) -> None:
        """The bytes are gone."""
        self._discards.pop(address, None)
