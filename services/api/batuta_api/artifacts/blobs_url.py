"""Bytes in an object store, by its URL, through fsspec. Credentials and endpoint come as its client finds them."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import fsspec

from batuta_api.artifacts.blobs import BlobMissing, BlobReader, failed
from batuta_rpc.errors import RpcError, UpstreamUnavailable

_OPTIONS: dict[str, dict[str, Any]] = {
    # Found anew each time: other processes write there too.
    "s3": {
        "use_listings_cache": False,
        "config_kwargs": {"connect_timeout": 5, "read_timeout": 60, "retries": {"max_attempts": 3}},
    },
    "gs": {"use_listings_cache": False},
}
_READ_AHEAD = 8 << 20
"""Bytes asked for at once."""


class UrlBlobs:
    """`BlobStore` below a URL: `s3://bucket/folder`, `gs://bucket/folder`."""

    def __init__(self, url: str) -> None:
        """Raises `ImportError` when the package for such URLs is not installed. Nothing is dialled yet."""
        scheme, _, place = url.partition("://")
        self._fs: Any = cast("Any", fsspec).filesystem(scheme, **_OPTIONS.get(scheme, {}))
        self._url = url
        self._place = place.rstrip("/")

    def put(self, file: Path, key: str) -> None:
        """Keep a copy of a file. The store shows an object once all its parts are there, and not before."""
        try:
            with self.told():
                self._fs.put_file(str(file), f"{self._place}/{key}")
                size = int(self._fs.info(f"{self._place}/{key}")["size"])
        except BlobMissing as error:
            raise UpstreamUnavailable(f"there is no such place as {self._url}: {error}") from error
        if size != file.stat().st_size:
            raise UpstreamUnavailable(f"{self._url} has stored {size} bytes of {file.stat().st_size}; try again")

    def open(self, key: str) -> BlobReader:
        """Read from the beginning."""
        with self.told():
            opened = self._fs.open(
                f"{self._place}/{key}", "rb", block_size=_READ_AHEAD, cache_type="readahead", cache_options={}
            )
        return _Reader(self, opened)

    def remove(self, key: str) -> None:
        """Remove the bytes."""
        with contextlib.suppress(BlobMissing), self.told():
            self._fs.rm_file(f"{self._place}/{key}")

    @contextlib.contextmanager
    def told(self) -> Generator[None]:
        """As long as the block runs, turn whatever the client of the store raises into what our callers know."""
        try:
            yield
        except FileNotFoundError as error:
            raise BlobMissing(str(error)) from error
        except RpcError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise failed(error) from error
            raise UpstreamUnavailable(
                f"{self._url} does not do what it is asked ({type(error).__name__}: {str(error)[:300]}); the operator "
                "looks at its credentials and at the store",
                retry_delay=2.0,
            ) from error


class _Reader:
    """Bytes of an object, with the errors that our callers know."""

    def __init__(self, blobs: UrlBlobs, opened: Any) -> None:
        self._blobs = blobs
        self._opened = opened

    def seek(self, offset: int) -> int:
        """Go on at an offset."""
        return int(self._opened.seek(offset))

    def read(self, size: int) -> bytes:
        """The next bytes."""
        with self._blobs.told():
            return bytes(self._opened.read(size))

    def close(self) -> None:
        """Let go of them."""
        self._opened.close()
