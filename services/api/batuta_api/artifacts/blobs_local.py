"""Bytes in a folder of this machine."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Generator
from pathlib import Path

from batuta_api.artifacts.blobs import BlobMissing, BlobReader, failed

_PART = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_CANNOT_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP)
_COPIED_AT_ONCE = 1 << 20


class LocalBlobs:
    """`BlobStore` in a folder, which is made and open to its owner only.

    Every step on the way to a file is opened from the one before and follows no link: what somebody puts into the
    folder meanwhile leads nowhere else.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = root

    def put(self, file: Path, key: str) -> None:
        """Keep a file's bytes. On one disk they are not copied: the file must not be written to any more."""
        *folders, name = _parts(key)
        try:
            with self._folder(folders, make=True) as folder:
                scratch = f".{name}.new"
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(scratch, dir_fd=folder)
                try:
                    _link_or_copy(file, folder, scratch)
                    os.rename(scratch, name, src_dir_fd=folder, dst_dir_fd=folder)
                finally:  # also afterwards: of two links to one file, rename leaves both
                    with contextlib.suppress(OSError):
                        os.unlink(scratch, dir_fd=folder)
                os.fsync(folder)
        except OSError as error:
            raise failed(error) from error

    def open(self, key: str) -> BlobReader:
        """Read from the beginning."""
        *folders, name = _parts(key)
        try:
            with self._folder(folders) as folder:
                return os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder), "rb", buffering=0)
        except FileNotFoundError as error:
            raise BlobMissing(key) from error
        except OSError as error:
            raise failed(error) from error

    def remove(self, key: str) -> None:
        """Remove the bytes, and folders that are empty then."""
        *folders, name = _parts(key)
        try:
            with self._folder(folders) as folder:
                os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise failed(error) from error
        for depth in range(len(folders), 1, -1):
            with contextlib.suppress(OSError), self._folder(folders[: depth - 1]) as parent:
                os.rmdir(folders[depth - 1], dir_fd=parent)

    @contextlib.contextmanager
    def _folder(self, folders: list[str], make: bool = False) -> Generator[int]:
        """A folder, opened step by step."""
        here = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in folders:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=here)
                        os.fsync(here)
                inner = os.open(name, _FOLDER, dir_fd=here)
                os.close(here)
                here = inner
            yield here
        finally:
            os.close(here)


def _parts(key: str) -> list[str]:
    parts = key.split("/")
    if not all(_PART.fullmatch(part) for part in parts):
        raise ValueError(f"{key!r} is no key")
    return parts


def _link_or_copy(file: Path, folder: int, name: str) -> None:
    try:
        os.link(file, name, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        with file.open("rb") as source, os.fdopen(_create(folder, name), "wb") as target:
            shutil.copyfileobj(source, target, _COPIED_AT_ONCE)
            target.flush()
            os.fsync(target.fileno())


def _create(folder: int, name: str) -> int:
    return os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600, dir_fd=folder)
