"""What an artifact is: a file that an attempt left, made once, whole, and never changed. And what an upload is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Address:
    """Where bytes lie: a store, and a key in it. The store is a URL; empty: the server's own folder."""

    store: str
    key: str

    @property
    def uri(self) -> str:
        """As people write it; empty for the server's own folder, whose place is nobody's business."""
        return f"{self.store}/{self.key}" if "://" in self.store and not self.store.startswith("file:") else ""


@dataclass(frozen=True)
class Plan:
    """What a client wants to upload. `kind` is a number of the contract's ArtifactKind.

    `attempt` 0 is that of the task as it stands, whether its run is under way or not. `mark` stands for all of it.
    """

    upload_id: str
    task_id: str
    attempt: int
    name: str
    mark: str
    kind: int = 10
    media_type: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    preview: str = ""
    size_bytes: int = 0
    ttl: timedelta | None = None


@dataclass(frozen=True)
class Upload:
    """An upload that has begun and has not finished. With `sha256`, its bytes may lie at the address already."""

    id: str
    task_id: str
    attempt: int
    mark: str
    store: str
    key: str
    touch_time: datetime
    sha256: str = ""

    @property
    def address(self) -> Address:
        """Where its bytes will lie."""
        return Address(self.store, self.key)


@dataclass(frozen=True)
class Content:
    """What bytes are, whatever they mean."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Artifact:
    """An artifact. Of one attempt no two have the same name."""

    id: str
    task_id: str
    attempt: int
    name: str
    kind: int
    media_type: str
    labels: tuple[tuple[str, str], ...]
    preview: str
    size_bytes: int
    sha256: str
    store: str
    key: str
    creator: str
    create_time: datetime
    expire_time: datetime | None = None

    @property
    def address(self) -> Address:
        """Where its bytes lie."""
        return Address(self.store, self.key)

    @property
    def content(self) -> Content:
        """What its bytes are."""
        return Content(self.size_bytes, self.sha256)


def key_of(task_id: str, attempt: int, unique: str) -> str:
    """The key of new bytes: each attempt has a prefix of its own, and nothing that a user said is in it."""
    return f"tasks/{task_id}/{attempt}/{unique}"
