"""Artifacts in SQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, tuple_, update

from batuta_api.artifacts.model import Address, Artifact, Upload
from batuta_api.artifacts.store import Wanted
from batuta_api.artifacts.tables import artifact_discards, artifact_uploads, artifacts
from batuta_api.schema import values

_PLACE = (artifacts.c.name, artifacts.c.attempt)


class SqlArtifactStore:
    """`ArtifactStore` over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, artifact: Artifact) -> None:
        """Keep a new artifact."""
        labels = json.dumps(artifact.labels, ensure_ascii=False)
        self._connection.execute(insert(artifacts), {**asdict(artifact), "labels": labels})

    def get(self, artifact_id: str) -> Artifact | None:
        """By id."""
        query = select(artifacts).where(artifacts.c.id == artifact_id)
        return _artifact(self._connection.execute(query).mappings().one_or_none())

    def named(self, task_id: str, name: str, attempt: int | None = None) -> Artifact | None:
        """By name."""
        query = select(artifacts).where(artifacts.c.task_id == task_id, artifacts.c.name == name)
        query = query.order_by(artifacts.c.attempt.desc()).limit(1)
        if attempt is not None:
            query = query.where(artifacts.c.attempt == attempt)
        return _artifact(self._connection.execute(query).mappings().one_or_none())

    def page(self, wanted: Wanted, after: tuple[str, int] | None, limit: int) -> list[Artifact]:
        """The next artifacts after a name and an attempt."""
        query = select(artifacts).where(artifacts.c.task_id == wanted.task_id).order_by(*_PLACE).limit(limit)
        if after is not None:
            query = query.where(tuple_(*_PLACE) > after)
        if wanted.attempt:
            query = query.where(artifacts.c.attempt == wanted.attempt)
        if wanted.names:
            query = query.where(artifacts.c.name.in_(wanted.names))
        if wanted.kinds:
            query = query.where(artifacts.c.kind.in_(wanted.kinds))
        return [_present(row) for row in self._connection.execute(query).mappings()]

    def count(self, task_id: str) -> int:
        """How many artifacts a task has."""
        query = select(func.count()).select_from(artifacts).where(artifacts.c.task_id == task_id)
        return int(self._connection.execute(query).scalar_one())

    def expired(self, now: datetime, limit: int) -> list[Artifact]:
        """Some whose time is over."""
        query = select(artifacts).where(artifacts.c.expire_time <= now).order_by(artifacts.c.expire_time).limit(limit)
        return [_present(row) for row in self._connection.execute(query).mappings()]

    def remove(self, artifact_id: str) -> None:
        """Forget an artifact."""
        self._connection.execute(delete(artifacts).where(artifacts.c.id == artifact_id))

    def add_upload(self, upload: Upload) -> None:
        """Keep a new upload."""
        self._connection.execute(insert(artifact_uploads), asdict(upload))

    def upload(self, upload_id: str) -> Upload | None:
        """By id."""
        query = select(artifact_uploads).where(artifact_uploads.c.id == upload_id)
        row = self._connection.execute(query).mappings().one_or_none()
        return None if row is None else Upload(**values(row))

    def put_upload(self, upload: Upload) -> None:
        """Keep a changed upload."""
        self._connection.execute(
            update(artifact_uploads).where(artifact_uploads.c.id == upload.id).values(**asdict(upload))
        )

    def remove_upload(self, upload_id: str) -> None:
        """Forget an upload."""
        self._connection.execute(delete(artifact_uploads).where(artifact_uploads.c.id == upload_id))

    def uploads(self, task_id: str) -> list[Upload]:
        """Those of a task."""
        query = select(artifact_uploads).where(artifact_uploads.c.task_id == task_id)
        return [Upload(**values(row)) for row in self._connection.execute(query).mappings()]

    def idle_uploads(self, before: datetime, limit: int) -> list[Upload]:
        """Some that were last touched before a moment."""
        query = select(artifact_uploads).where(artifact_uploads.c.touch_time < before).limit(limit)
        return [Upload(**values(row)) for row in self._connection.execute(query).mappings()]

    def known_uploads(self, upload_ids: Sequence[str]) -> set[str]:
        """Those of the ids that are uploads."""
        query = select(artifact_uploads.c.id).where(artifact_uploads.c.id.in_(upload_ids))
        return set(self._connection.execute(query).scalars())

    def discard(self, address: Address, due_time: datetime) -> None:
        """Have bytes removed."""
        moved = update(artifact_discards).where(*_same(address)).values(due_time=due_time)
        if not self._connection.execute(moved).rowcount:
            self._connection.execute(insert(artifact_discards), {**asdict(address), "due_time": due_time})

    def due(self, now: datetime, limit: int) -> list[Address]:
        """Some bytes that are to be removed now."""
        query = select(artifact_discards.c.store, artifact_discards.c.key).where(artifact_discards.c.due_time <= now)
        rows = self._connection.execute(query.order_by(artifact_discards.c.due_time).limit(limit))
        return [Address(*row) for row in rows]

    def discarded(self, address: Address) -> None:
        """The bytes are gone."""
        self._connection.execute(delete(artifact_discards).where(*_same(address)))


def _same(address: Address) -> Sequence[Any]:
    return artifact_discards.c.store == address.store, artifact_discards.c.key == address.key


def _artifact(row: RowMapping | None) -> Artifact | None:
    return None if row is None else _present(row)


def _present(row: RowMapping) -> Artifact:
    fields = values(row)
    fields["labels"] = tuple((key, value) for key, value in json.loads(fields["labels"]))
    return Artifact(**fields)
