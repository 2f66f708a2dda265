"""Artifacts that go: deleted, replaced, expired, with their task. Rows first; bytes once nobody can be reading them."""

from __future__ import annotations

from datetime import datetime, timedelta

from batuta_api.artifacts.model import Artifact, Upload
from batuta_api.artifacts.store import Wanted
from batuta_api.work import Work

GRACE = timedelta(seconds=60)
"""For those who read the bytes when their row goes."""


def forget(work: Work, artifact: Artifact, now: datetime) -> None:
    """Remove an artifact; its bytes go a little later."""
    work.artifacts.remove(artifact.id)
    work.artifacts.discard(artifact.address, now + GRACE)


def give_up(work: Work, upload: Upload, now: datetime) -> None:
    """Remove an upload, and its bytes, should they be where they were to lie."""
    work.artifacts.remove_upload(upload.id)
    if upload.sha256:
        work.artifacts.discard(upload.address, now + GRACE)


def drop(work: Work, task_id: str, now: datetime) -> None:
    """Remove all that a task has of both."""
    while some := work.artifacts.page(Wanted(task_id), None, 500):
        for artifact in some:
            forget(work, artifact, now)
    for upload in work.artifacts.uploads(task_id):
        give_up(work, upload, now)
