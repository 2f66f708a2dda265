"""Bytes of uploads that have not finished: a file each, in a folder of this process."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from batuta_api.artifacts.blobs import failed
from batuta_api.artifacts.model import Content
from batuta_api.artifacts.threads import BlobThreads
from batuta_rpc.errors import DiskFull, ProtocolViolation

_READ = 1 << 20
_SHARE = 8
"""On a small disk no more than this part of it is kept free."""


class StagedFile:
    """One file and what it holds. Everything here blocks."""

    def __init__(self, path: Path, keep_free: int) -> None:
        """Open it, and read what is there: an upload goes on after it. Raises `OSError`."""
        self.path = path
        self.size = 0
        self._keep_free = keep_free
        self._hash = hashlib.sha256()
        self._fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        self._linked = os.fstat(self._fd).st_nlink > 1
        """Its bytes lie where they will already: whoever put them there did not live to say so."""
        try:
            while data := os.pread(self._fd, _READ, self.size):
                self._hash.update(data)
                self.size += len(data)
        except BaseException:
            os.close(self._fd)
            raise

    def append(self, data: bytes) -> None:
        """Write bytes at the end. Raises `DiskFull`, `StorageFailed`; what was there before stays.

        Raises `ProtocolViolation` when all bytes have come before: the file is that of an artifact's already.
        """
        if self._linked:
            raise ProtocolViolation("all bytes of this upload have come before: send `finish`")
        self._check_room(len(data))
        view, end = memoryview(data), self.size
        try:
            while view:
                written = os.pwrite(self._fd, view, end)
                view, end = view[written:], end + written
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.size)
            raise failed(error) from error
        self._hash.update(data)
        self.size = end

    def complete(self) -> Content:
        """Make it durable, and say what it holds. Raises `DiskFull`, `StorageFailed`."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise failed(error) from error
        return Content(self.size, self._hash.hexdigest())

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)

    def _check_room(self, size: int) -> None:
        disk = os.fstatvfs(self._fd)
        keep = min(self._keep_free, disk.f_blocks * disk.f_frsize // _SHARE)
        if disk.f_bavail * disk.f_frsize < size + keep:
            raise DiskFull(
                "the server's disk has no room for the bytes; those that are stored stay, so go on once there is room",
                retry_delay=30.0,
            )


class Held:
    """A file in the hands of one stream, until another one takes it over."""

    def __init__(self, threads: BlobThreads, path: Path, keep_free: int) -> None:
        self.path = path
        self.superseded = False
        self._lock = asyncio.Lock()
        self._threads = threads
        self._keep_free = keep_free
        self._file: StagedFile | None = None

    async def open(self) -> None:
        """Open the file, made where there is none. Raises `StorageFailed`, `ProtocolViolation` when taken over."""
        async with self._lock:
            self._check()
            try:
                self._file = await self._threads.run(lambda: StagedFile(self.path, self._keep_free))
            except OSError as error:
                raise failed(error) from error

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self._present().size

    async def append(self, data: bytes) -> None:
        """Write bytes at the end. Raises `DiskFull`, `StorageFailed`, `ProtocolViolation` when taken over."""
        async with self._lock:
            file = self._present()
            await self._threads.run(lambda: file.append(data))

    @contextlib.asynccontextmanager
    async def finishing(self) -> AsyncGenerator[Content]:
        """Make it durable, and say what it holds. Nobody takes it over before the block ends. Raises as `append`."""
        async with self._lock:
            yield await self._threads.run(self._present().complete)

    async def close(self) -> None:
        """Let go of it."""
        async with self._lock:
            file, self._file = self._file, None
            if file is not None:
                await self._threads.run(file.close)

    def _present(self) -> StagedFile:
        self._check()
        assert self._file is not None, "it was opened"
        return self._file

    def _check(self) -> None:
        if self.superseded:
            raise ProtocolViolation("another stream goes on with this upload; this one is over")


class Staging:
    """All such files of this process."""

    def __init__(self, folder: Path, threads: BlobThreads, keep_free: int) -> None:
        """`keep_free`: bytes of the disk that uploads leave to others."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._threads = threads
        self._keep_free = keep_free
        self._held: dict[str, Held] = {}

    @contextlib.asynccontextmanager
    async def hold(self, upload_id: str) -> AsyncGenerator[Held]:
        """The file of an upload, not opened yet, as long as the block runs or until somebody else holds it."""
        path = self._folder / upload_id
        held, before = Held(self._threads, path, self._keep_free), self._held.get(upload_id)
        self._held[upload_id] = held
        try:
            if before is not None:
                before.superseded = True
                await before.close()
            yield held
        finally:
            if self._held.get(upload_id) is held:
                del self._held[upload_id]
            await held.close()

    async def discard(self, upload_id: str) -> None:
        """Forget what an upload had sent. Raises `StorageFailed`."""
        try:
            await self._threads.run(lambda: (self._folder / upload_id).unlink(missing_ok=True))
        except OSError as error:
            raise failed(error) from error

    def held(self, upload_id: str) -> bool:
        """Whether somebody sends it now."""
        return upload_id in self._held

    async def untouched(self, now: datetime, age: timedelta) -> list[str]:
        """Uploads that nobody sends now and whose files are older than that."""
        before = now - age
        return await self._threads.run(
            lambda: [path.name for path in self._folder.iterdir() if not self.held(path.name) and _older(path, before)]
        )


def _older(path: Path, moment: datetime) -> bool:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC) < moment
    except OSError:
        return False
