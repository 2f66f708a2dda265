"""Bytes on this machine: stored under keys of the server's, whole, durable, and nowhere but in their folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from batuta_api.artifacts.blobs import BlobMissing
from batuta_api.artifacts.blobs_local import LocalBlobs
from batuta_api.artifacts.model import Content
from batuta_api.artifacts.places import BlobPlaces, Forbidden
from batuta_api.artifacts.staging import Staging
from batuta_api.artifacts.threads import BlobThreads
from batuta_chassis.settings import Settings, SettingsError
from batuta_rpc.clock import SystemClock
from batuta_rpc.errors import DiskFull, ProtocolViolation, StorageFailed

KEY = "tasks/t1/1/b1"
UPLOAD = "0" * 32


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


def a_file(folder: Path, data: bytes) -> Path:
    path = folder / "staged"
    path.write_bytes(data)
    return path


def read(blobs: LocalBlobs, key: str = KEY) -> bytes:
    reader = blobs.open(key)
    try:
        return reader.read(1 << 20)
    finally:
        reader.close()


def test_bytes_come_back_and_go_with_their_folders(blobs: LocalBlobs, tmp_path: Path) -> None:
    blobs.put(a_file(tmp_path, b"weights"), KEY)
    blobs.put(a_file(tmp_path, b"weights"), KEY)  # an upload that did not hear of its end
    assert read(blobs) == b"weights"
    assert [path.name for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == ["b1"]
    blobs.remove(KEY)
    blobs.remove(KEY)
    with pytest.raises(BlobMissing):
        read(blobs)
    assert [path.name for path in (tmp_path / "blobs").rglob("*")] == ["tasks"]


def test_who_reads_bytes_when_they_go_reads_them_to_the_end(blobs: LocalBlobs, tmp_path: Path) -> None:
    blobs.put(a_file(tmp_path, b"weights"), KEY)
    reader = blobs.open(KEY)
    assert reader.read(2) == b"we"
    blobs.remove(KEY)
    assert reader.read(100) == b"ights"
    reader.close()


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a//b", "", "a/../b", "a/.b", "a/b\0", "a/" + "x" * 65, "é"])
def test_s16_a_key_that_is_none_of_ours_reaches_no_file(blobs: LocalBlobs, tmp_path: Path, key: str) -> None:
    for act in (blobs.open, blobs.remove, lambda bad: blobs.put(a_file(tmp_path, b"x"), bad)):
        with pytest.raises(ValueError, match="no key"):
            act(key)


def test_s16_a_link_that_was_put_into_the_folder_leads_nowhere(blobs: LocalBlobs, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b1").write_bytes(b"secret")
    blobs.put(a_file(tmp_path, b"weights"), KEY)
    attempt = tmp_path / "blobs" / "tasks" / "t1" / "1"
    (attempt / "b1").unlink()
    (attempt / "b1").symlink_to(outside / "b1")
    with pytest.raises(StorageFailed):
        read(blobs)
    (attempt / "b1").unlink()
    attempt.rmdir()
    attempt.symlink_to(outside)
    with pytest.raises(StorageFailed):
        read(blobs)
    with pytest.raises(StorageFailed):
        blobs.put(a_file(tmp_path, b"weights"), KEY)
    with pytest.raises(StorageFailed):
        blobs.remove(KEY)
    assert (outside / "b1").read_bytes() == b"secret"


def test_bytes_of_another_disk_are_copied(small_disk: object, tmp_path: Path) -> None:
    other = small_disk(4)  # type: ignore[operator]
    blobs = LocalBlobs(other / "blobs")
    blobs.put(a_file(tmp_path, b"weights"), KEY)
    assert read(blobs) == b"weights"
    with pytest.raises(DiskFull):
        blobs.put(a_file(tmp_path, bytes(8 << 20)), "tasks/t1/1/b2")
    assert [path.name for path in (other / "blobs").rglob("*") if path.is_file()] == ["b1"]


@pytest.fixture
async def staging(tmp_path: Path) -> AsyncIterator[Staging]:
    threads = BlobThreads(2)
    yield Staging(tmp_path / "uploads", threads, 1 << 20)
    await threads.close()


async def test_an_unfinished_upload_goes_on_after_its_bytes_and_knows_their_digest(staging: Staging) -> None:
    async with staging.hold(UPLOAD) as held:
        await held.open()
        await held.append(b"wei")
    async with staging.hold(UPLOAD) as held:
        await held.open()
        assert held.size == 3
        await held.append(b"ghts")
        async with held.finishing() as content:
            assert content == Content(7, hashlib.sha256(b"weights").hexdigest())
    await staging.discard(UPLOAD)
    async with staging.hold(UPLOAD) as held:
        await held.open()
        assert held.size == 0


async def test_who_was_taken_over_from_writes_no_more(staging: Staging) -> None:
    async with staging.hold(UPLOAD) as first:
        await first.open()
        await first.append(b"a")
        async with staging.hold(UPLOAD) as second:
            await second.open()
            with pytest.raises(ProtocolViolation, match="another stream"):
                await first.append(b"b")
            await second.append(b"c")
            assert second.size == 2
        assert not staging.held(UPLOAD)


async def test_old_files_that_nobody_sends_are_found(staging: Staging, tmp_path: Path) -> None:
    async with staging.hold(UPLOAD) as held:
        await held.open()
        await held.append(b"a")
        later = SystemClock().now() + timedelta(hours=2)
        assert await staging.untouched(later, timedelta(hours=1)) == []
    assert await staging.untouched(later, timedelta(hours=1)) == [UPLOAD]
    assert await staging.untouched(later, timedelta(hours=3)) == []


async def test_the_last_of_a_disk_is_left_to_others(small_disk: object) -> None:
    disk: Path = small_disk(8)  # type: ignore[operator]
    threads = BlobThreads(1)
    staging = Staging(disk / "uploads", threads, 1 << 30)
    async with staging.hold(UPLOAD) as held:
        await held.open()
        for _ in range(7):
            await held.append(os.urandom(1 << 20))
        with pytest.raises(DiskFull, match="once there is room"):
            await held.append(os.urandom(1 << 20))
        room = os.statvfs(disk)
        assert room.f_bavail * room.f_frsize >= 1 << 19
        assert held.size == (disk / "uploads" / UPLOAD).stat().st_size > 0
    await threads.close()


def settings(tmp_path: Path, **fields: str) -> Settings:
    return Settings(service="api", data_dir=tmp_path, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "uri", ["http://h/x", "/tmp/x", "file://x", "file:///a/../etc", "s3://", "s3://b/../c", "s3://b/%2e%2e", "ftp://x"]
)
def test_s16_the_server_starts_with_no_store_that_it_cannot_keep_to(tmp_path: Path, uri: str) -> None:
    with pytest.raises(SettingsError, match="artifacts_uri"):
        BlobPlaces.of(settings(tmp_path, artifacts_uri=uri))
    with pytest.raises(SettingsError, match="artifact_stores"):
        BlobPlaces.of(settings(tmp_path, artifact_stores=uri))


def test_artifacts_go_where_the_operator_says_and_projects_may_choose_below_what_is_allowed(tmp_path: Path) -> None:
    folder = f"file://{tmp_path / 'elsewhere'}"
    places = BlobPlaces.of(settings(tmp_path, artifacts_uri=f"{folder}/"))
    assert places.destination("") == folder
    places.at(folder).put(a_file(tmp_path, b"x"), KEY)
    assert (tmp_path / "elsewhere" / KEY).read_bytes() == b"x"
    places = BlobPlaces(tmp_path, "s3://own/a", ("gs://more",))
    assert places.destination("s3://own/a/team") == "s3://own/a/team"
    assert places.destination("gs://more") == "gs://more"
    for uri in ("s3://own/ab", "s3://own", "gs://more2", folder, "s3://own/a/../b", "s3://own/a?x", "s3://own/a/./b"):
        with pytest.raises(Forbidden, match="artifact_stores"):
            places.destination(uri)
