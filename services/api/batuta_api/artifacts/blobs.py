"""Where bytes lie, by keys that the server makes. Everything here blocks: call it in a thread (`threads`)."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Protocol

from batuta_rpc.errors import DiskFull, RpcError, StorageFailed

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class BlobMissing(Exception):
    """There are no bytes of that key."""


class BlobReader(Protocol):
    """Bytes that are being read."""

    def seek(self, offset: int, /) -> int:
        """Go on at an offset."""
        ...

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most so many; none at the end."""
        ...

    def close(self) -> None:
        """Let go of them."""
        ...


class BlobStore(Protocol):
    """Bytes by key. A key has letters, digits, `_`, `-` and slashes between its parts."""

    def put(self, file: Path, key: str) -> None:
        """Keep a copy of a file: durable when this returns, and never seen in part. The same bytes may come twice.

        Raises `DiskFull`, `StorageFailed`, `UpstreamUnavailable`.
        """
        ...

    def open(self, key: str) -> BlobReader:
        """Read from the beginning. Raises `BlobMissing`, `StorageFailed`, `UpstreamUnavailable`."""
        ...

    def remove(self, key: str) -> None:
        """Remove the bytes; those that are not there are removed. Raises `StorageFailed`, `UpstreamUnavailable`."""
        ...


def failed(error: OSError) -> RpcError:
    """What a caller is told of an error of the disk."""
    if error.errno in _FULL:
        return DiskFull(
            "the server's disk has no room for the bytes; those that are stored stay, so go on once there is room",
            retry_delay=30.0,
        )
    return StorageFailed(f"the server cannot use its disk now ({error.strerror}); try again", retry_delay=1.0)
